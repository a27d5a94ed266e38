"""Kills rendering and its workers anywhere, and renders the same again and again in fresh processes.

Pins that nothing is missing, half-written or different: the files are those of a run that nobody disturbed.
"""

import random
import shutil
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from forkserver import ForkServer, Script
from killing import Killer, contents
from support import run_script

psutil = pytest.importorskip("psutil")
pytest.importorskip("mitsuba")

from small_scene import NAME, command, write_scene  # noqa: E402

FRAMES = 12


@pytest.fixture(scope="module")
def render_server() -> Iterator[ForkServer]:
    """Runs render.py with Mitsuba imported already."""
    with ForkServer(("render", "rendering.render_dataset", "distributed")) as started:
        yield started


@pytest.fixture(scope="module")
def rendered(render_server, tmp_path_factory) -> tuple[Path, dict[str, bytes], float]:
    """A scene, the content of a dataset of it that nobody disturbed, and how many seconds that took."""
    folder = tmp_path_factory.mktemp("rendered")
    scene = write_scene(folder / NAME)
    begun = time.monotonic()
    run = start(render_server, folder / "log", scene, folder / "data")
    assert run.wait() == 0, run.text()
    return scene, contents(folder / "data"), time.monotonic() - begun


def start(server: ForkServer, log: Path, scene: Path, dataset: Path, *more) -> Script:
    """Starts render.py on that scene."""
    return server.start(log, *command(scene, dataset, "--frames", FRAMES, "--target_spp", 64, *more))


def test_killed_anywhere_it_ends_with_the_same_files(render_server, rendered, tmp_path, cases, record):
    scene, whole, seconds = rendered
    data = tmp_path / "data"
    done = [0]

    def look(ended: bool) -> None:
        found = visible(data)
        assert found.items() <= whole.items(), "a file is half-written, or different"
        assert len(found) >= done[-1], "a finished frame is lost"
        done.append(len(found))
        if ended:
            assert found == whole and not list(data.rglob(".*"))
            shutil.rmtree(data)
            done[:] = [0]

    killer = Killer(lambda: start(render_server, tmp_path / "log", scene, data), seconds, look)
    killer.run(cases(4, 60))
    record("render.py killed", cases=killer.kills + killer.ends, faults=killer.kills, survived=killer.kills)


def visible(folder: Path) -> dict[str, bytes]:
    """What is in a folder under final names: nothing in a temporary folder, and no temporary file."""
    files = {p.relative_to(folder): p for p in folder.rglob("*") if p.is_file()}
    return {str(r): p.read_bytes() for r, p in files.items() if not any(part.startswith(".") for part in r.parts)}


def workers_of(process: int) -> list:
    """The worker processes of a render.py, of which dask starts new ones."""
    try:
        children = psutil.Process(process).children(recursive=True)
        return [child for child in children if "spawn_main" in " ".join(child.cmdline())]
    except psutil.Error:
        return []


def test_workers_that_are_killed_every_few_seconds_change_nothing(render_server, rendered, tmp_path, cases, record):
    if not (runs := cases(0, 2)):
        pytest.skip("four workers take long to start; tests/rendering/test_clusters.py kills one of two")
    scene, _, _ = rendered
    more = ("--frames", 60, "--target_spp", 512)
    whole = start(render_server, tmp_path / "log", scene, tmp_path / "whole", *more)
    assert whole.wait(900) == 0, whole.text()
    kills, dice = 0, random.Random(0)
    for number in range(runs):
        data = tmp_path / str(number)
        run = start(render_server, tmp_path / "log", scene, data, *more, "--workers", 4)
        while run.poll() is None:
            time.sleep(dice.uniform(2, 5))
            # not while they start, which would go on for ever
            if (data / "train" / NAME / "frame-0000").is_dir() and len(found := workers_of(run.process)) >= 3:
                dice.choice(found).send_signal(signal.SIGKILL)
                kills += 1
        assert run.poll() == 0 and "Traceback" not in run.text(), run.text()[-3000:]
        assert visible(data) == visible(tmp_path / "whole") and not list(data.rglob(".*"))
    record("rendering workers killed", cases=runs, faults=kills, survived=kills)


# Renders a frame of a scene file, or of a room, and prints a digest of its files.
FRAME = """
import hashlib, sys, tempfile
from pathlib import Path
import mitsuba as mi
from rendering.cameras import Camera
from rendering.jobs import FileSource, Job, RoomSource, Settings
from rendering.renderer import render_frame
source = RoomSource(0, "train", 4) if sys.argv[1] == "room" else FileSource(sys.argv[1])
settings = Settings(24, 16, 1, 4, 4, 2, None, False, 0, sys.argv[2], mi.__version__)
camera, before = Camera((0.1, 1.6, 1.4), (0, 0.5, 0)), Camera((0, 1.6, 1.4), (0, 0.5, 0))
with tempfile.TemporaryDirectory() as folder:
    (Path(folder) / "scene").mkdir()
    render_frame(Job(folder + "/scene", source, 1, camera, before, settings))
    content = b"".join(p.read_bytes() for p in sorted(Path(folder).rglob("*.exr")))
    assert len(content) > 1000
    print(hashlib.sha256(content).hexdigest())
"""


@pytest.mark.parametrize("variant", ["scalar_rgb", "llvm_ad_rgb"])
@pytest.mark.parametrize("source", ["scene", "room"])
def test_fresh_processes_render_the_same_pixels(tmp_path, cases, record, source, variant):
    from rendering.variants import probe

    times = cases(2 if (source, variant) == ("scene", "scalar_rgb") else 0, 30 if source == "scene" else 10)
    if not times or probe(variant) is not None:
        pytest.skip("only in make soak, and where the variant works")
    path = write_scene(tmp_path / NAME) if source == "scene" else source
    digests = {run_script("-c", FRAME, path, variant).stdout for _ in range(times)}
    record(f"{source} rendered, {variant}", cases=times, losses=len(digests) - 1)
    assert len(digests) == 1
