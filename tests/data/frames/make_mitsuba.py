"""Makes mitsuba.00.exr ... beside it: a moving camera, and the channels of Mitsuba's aov integrator.

`pip install mitsuba`, then `python make_mitsuba.py [FOLDER] [WIDTH HEIGHT FRAMES SAMPLES]`. Made with Mitsuba 3.9.1.
Mitsuba writes no motion.
"""

import sys
from pathlib import Path

import mitsuba

SIZE, FRAMES, SAMPLES = (48, 36), 3, 2


def checker(color: list[float]) -> dict:
    """A matt surface with a checker."""
    pattern = {
        "type": "checkerboard",
        "color0": {"type": "rgb", "value": color},
        "color1": {"type": "rgb", "value": [0.15, 0.15, 0.2]},
        "to_uv": mitsuba.ScalarTransform4f().scale([6, 6, 1]),
    }
    return {"type": "diffuse", "reflectance": pattern}


def scene(frame: int, size: tuple[int, int]) -> dict:
    """A floor, a ball and a lamp; the camera travels and turns."""
    transform = mitsuba.ScalarTransform4f()
    placed = transform.look_at(origin=[-0.8 + 0.3 * frame, -6, 2.5], target=[0.15 * frame, 0, 0.5], up=[0, 0, 1])
    film = {"type": "hdrfilm", "width": size[0], "height": size[1], "pixel_format": "rgba", "rfilter": {"type": "box"}}
    return {
        "type": "scene",
        "integrator": {
            "type": "aov",
            "aovs": "alb:albedo,nn:sh_normal,dd:depth",
            "image": {"type": "path", "max_depth": 3, "hide_emitters": True},
        },
        "sensor": {"type": "perspective", "fov": 45, "to_world": placed, "film": film},
        "floor": {"type": "rectangle", "to_world": transform.scale(5), "bsdf": checker([0.8, 0.7, 0.6])},
        "ball": {"type": "sphere", "center": [0, 0, 1], "radius": 1, "bsdf": checker([0.1, 0.4, 0.8])},
        "lamp": {
            "type": "sphere",
            "center": [2, -3, 5],
            "radius": 0.6,
            "emitter": {"type": "area", "radiance": {"type": "rgb", "value": [25, 22, 18]}},
        },
    }


def render(folder: Path, size: tuple[int, int], frames: int, samples: int) -> None:
    """Renders frames 0, 1 ..."""
    mitsuba.set_variant("scalar_rgb")
    for frame in range(frames):
        loaded = mitsuba.load_dict(scene(frame, size))
        mitsuba.render(loaded, spp=samples, seed=frame)
        loaded.sensors()[0].film().write(str(folder / f"mitsuba.{frame:02}.exr"))


if __name__ == "__main__":
    given = sys.argv[1:]
    numbers = [int(number) for number in given[1:]] or [*SIZE, FRAMES, SAMPLES]
    render(
        Path(given[0] if given else __file__).resolve() if given else Path(__file__).parent,
        tuple(numbers[:2]),
        *numbers[2:],
    )
