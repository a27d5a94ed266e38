"""A small scene for the tests of render.py: a ball on a floor under an open sky, its camera path, and jobs for it."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

mi = pytest.importorskip("mitsuba")

from rendering.cameras import Camera  # noqa: E402
from rendering.jobs import FileSource, Job, Settings  # noqa: E402
from rendering.render_dataset import run  # noqa: E402
from rendering.rendering_options import parse  # noqa: E402

EVERYTHING = ("color", "depth", "normal", "albedo", "motion")

NAME = "yard"  # of the sequence; seeds depend on it, and some limits in the tests were chosen for that noise
# A checkered floor, a ball and a lamp under an open sky: diffuse, with misses and indirect light.
SCENE = """<scene version="3.0.0">
  <integrator type="path"><integer name="max_depth" value="4"/></integrator>
  <sensor type="perspective"><float name="fov" value="60"/>
    <transform name="to_world"><lookat origin="0, 2, 4" target="0, 0.5, 0" up="0, 1, 0"/></transform>
  </sensor>
  <emitter type="constant"><rgb name="radiance" value="0.3, 0.3, 0.4"/></emitter>
  <shape type="rectangle">
    <transform name="to_world"><rotate x="1" angle="-90"/><scale value="4"/></transform>
    <bsdf type="diffuse"><texture name="reflectance" type="checkerboard">
      <rgb name="color0" value="0.7, 0.3, 0.2"/><rgb name="color1" value="0.2, 0.5, 0.6"/>
      <transform name="to_uv"><scale value="3"/></transform></texture></bsdf>
  </shape>
  <shape type="sphere"><float name="radius" value="0.7"/><point name="center" x="0" y="0.7" z="0"/>
    <bsdf type="diffuse"><rgb name="reflectance" value="0.9, 0.1, 0.1"/></bsdf></shape>
  <shape type="sphere"><float name="radius" value="0.3"/><point name="center" x="1.5" y="3" z="1"/>
    <emitter type="area"><rgb name="radiance" value="9, 9, 8"/></emitter></shape>
</scene>
"""
KEYS = [{"origin": [0.1 * i, 1.6, 3.4], "target": [0.05 * i, 0.5, 0], "up": [0, 1, 0], "fov": 60} for i in range(4)]
SMALL = ["--width", 24, "--height", 16, "--target_spp", 4, "--noisy", 2, "--frames", 3]
SMALL += ["--variant", "scalar_rgb", "--workers", 1]


def write_scene(folder: Path) -> Path:
    """Writes the scene file, with its camera file beside it."""
    folder.mkdir()
    (folder / "camera.json").write_text(json.dumps({"keyframes": KEYS}))
    (folder / "scene.xml").write_text(SCENE)
    return folder / "scene.xml"


def command(scene: Path, dataset: Path, *more) -> list:
    """A command line of render.py for that scene."""
    small = SMALL[:-2] if "--scheduler" in more else SMALL
    return ["render.py", dataset, "--scene", scene, "--camera", scene.with_name("camera.json"), *small, *more]


def render(scene: Path, dataset: Path, *more) -> None:
    """Runs that command line within this process."""
    run(parse([str(argument) for argument in command(scene, dataset, *more)[1:]]))


def settings(**changes) -> Settings:
    """Few samples of small pictures, in the scalar variant."""
    small = Settings(24, 16, 1, 4, 4, 2, None, False, 0, "scalar_rgb", mi.__version__)
    return replace(small, **changes)


def job(scene: Path, folder: Path, frame: int = 1, **changes) -> Job:
    """One frame of the scene, and the sequence's folder for it; changes: settings that differ."""
    folder.mkdir(parents=True, exist_ok=True)
    cameras = [Camera(**key) for key in KEYS]
    before = cameras[frame - 1] if frame else None
    return Job(str(folder), FileSource(str(scene)), frame, cameras[frame], before, settings(**changes))


def pixels(folder: Path) -> dict[str, bytes]:
    """The content of every file in a folder, by path."""
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}
