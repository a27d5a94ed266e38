"""The faults of a deliberately broken dataset: each breaks a scene in one way."""

import shutil

import numpy as np
from support import frame_channels, make_scene, write_channels


def truncate(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def channels():
    return frame_channels(np.random.default_rng(0), (24, 32), 0.6, True)


def not_an_exr(scene):
    (scene / "frame-0001/noisy-1.exr").write_text("no picture")


def empty_file(scene):
    (scene / "frame-0001/noisy-1.exr").write_bytes(b"")


def missing_channel(scene):
    kept = {name: plane for name, plane in channels().items() if name != "depth.Z"}
    write_channels(scene / "frame-0001/noisy-1.exr", kept)


def target_without_color(scene):
    write_channels(scene / "frame-0001/target.exr", {"depth.Z": channels()["depth.Z"]})


def two_albedos(scene):
    twice = {f"Layer{i}.albedo.{c}": np.ones((24, 32), np.float16) for i in (1, 2) for c in "RGB"}
    kept = {name: plane for name, plane in channels().items() if not name.startswith("albedo")}
    write_channels(scene / "frame-0001/noisy-1.exr", kept | twice)


def two_motions(scene):
    twice = {f"Layer{i}.motion.{c}": np.ones((24, 32), np.float16) for i in (1, 2) for c in "XY"}
    write_channels(scene / "frame-0001/noisy-0.exr", channels() | twice)


def another_size(scene):
    write_channels(scene / "frame-0001/noisy-1.exr", frame_channels(np.random.default_rng(0), (24, 40), 0.6, True))


def truncated_first(scene):
    truncate(scene / "frame-0001/noisy-0.exr")


def truncated_second(scene):
    truncate(scene / "frame-0001/noisy-1.exr")


def truncated_held_out(scene):
    truncate(scene / "frame-0005/noisy-1.exr")


def truncated_target(scene):
    truncate(scene / "frame-0004/target.exr")


def missing_targets(scene):
    for target in scene.parent.rglob("target.exr"):
        target.unlink()


def missing_target(scene):
    (scene / "frame-0002/target.exr").unlink()


def no_noisy(scene):
    for noisy in scene.glob("frame-0002/noisy-*"):
        noisy.unlink()


def gap(scene):
    shutil.rmtree(scene / "frame-0002")


def short(scene):
    for number in (1, 4):
        for other in scene.parent.iterdir():
            shutil.rmtree(other / f"frame-{number:04d}")


def nan(scene):
    broken = channels()
    broken["R"][3, 4], broken["normal.G"][2] = np.nan, np.inf
    write_channels(scene / "frame-0001/noisy-0.exr", broken)


def wrong_file_name(scene):
    (scene / "frame-0001/noisy-1.exr").rename(scene / "frame-0001/noisy_1.exr")


def padded_file_name(scene):
    (scene / "frame-0001/noisy-0.exr").rename(scene / "frame-0001/noisy-00.exr")


def wrong_folder_name(scene):
    (scene / "frame-0002").rename(scene / "frame_0002")


def empty_scene(scene):
    (scene.parent / "E").mkdir()


def nothing_but_empty_scenes(scene):
    for other in scene.parent.iterdir():
        shutil.rmtree(other)
        other.mkdir()


def too_small(scene):
    shutil.rmtree(scene)
    make_scene(scene, size=(12, 32))


# kinds to expect for a fault in train/, and for one in test/
FAULTS = {
    not_an_exr: ("unreadable", "unreadable"),
    empty_file: ("unreadable", "unreadable"),
    missing_channel: ("channel", "channel"),
    target_without_color: ("channel", "channel"),
    two_albedos: ("ambiguous", "ambiguous"),
    two_motions: ("ambiguous", "ambiguous"),
    another_size: ("size", "size"),
    truncated_first: ("pixels", "pixels"),
    truncated_second: ("pixels", "pixels"),
    truncated_held_out: ("pixels", "pixels"),
    truncated_target: ("pixels", "pixels"),
    missing_targets: ("nothing", ""),
    missing_target: ("skipped-frame", ""),
    no_noisy: ("skipped-frame", "skipped-frame"),
    gap: ("gap", "gap"),
    short: ("short", "gap"),
    nan: ("nan", "nan"),
    wrong_file_name: ("name", "name"),
    padded_file_name: ("", ""),
    wrong_folder_name: ("name", "name"),
    empty_scene: ("skipped-scene", "skipped-scene"),
    nothing_but_empty_scenes: ("nothing", "nothing"),
    too_small: ("small", ""),
}
STOPPING = {not_an_exr, empty_file, missing_channel, target_without_color, two_albedos, two_motions, another_size}
STOPPING |= {truncated_first, truncated_target, nothing_but_empty_scenes}
STOPPING_TRAINING = STOPPING | {truncated_second, missing_targets, short, too_small}
