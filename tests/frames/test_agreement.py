"""Pins that check.py and test.py judge every folder alike, and that both name noise that repeats and nothing else."""

import numpy as np
import pytest
from foreign_files import H, W, denoise, layer, parts_of, quantities, usual, write_parts, write_raw, write_shot

from checking import check_path, checking_options
from files import InputError
from frames.frame_options import choice_of


def folders(root):
    """Folders of all sorts, by name, and the options for each."""
    position = np.stack([np.mgrid[:H, :W][1] - W / 2.0] * 3).astype(np.float32)
    without = {n: p for n, p in usual(0).items() if not n.startswith("normal")}
    yield write_shot(root / "whole", usual, frames=(1,)), ()
    yield write_shot(root / "position", lambda _: without | layer("nn", 9 * position, "XYZ"), frames=(1,)), ()
    yield write_shot(root / "no normal", lambda _: without, frames=(1,)), ()
    two = usual(0) | layer("coat.normal", quantities(0)["normal"])
    yield write_shot(root / "two normals", lambda _: two, frames=(1,)), ()
    yield write_shot(root / "chosen", lambda _: two, frames=(1,)), ("--use", "normal=normal")
    yield write_shot(root / "no layer", usual, frames=(1,)), ("--layer", "key")
    yield write_parts(root / "parts" / "a_1.exr", parts_of(0)).parent, ()
    flat = {name: (plane, 1) for name, plane in usual(0).items()}
    yield write_raw(root / "mapped" / "a_1.exr", flat, mip_mapped=True).parent, ()
    yield (
        write_shot(root / "inf", lambda _: usual(0) | {"depth.Z": np.full((H, W), -np.inf, np.float32)}, frames=(1,)),
        (),
    )


def test_check_and_test_agree(tmp_path):
    judged = {}
    for folder, more in folders(tmp_path):
        options = checking_options.build_parser().parse_args([str(folder), *more])
        assert choice_of(options).use == dict(options.use)
        fit = check_path.check(options).errors == 0
        try:
            denoise(folder, tmp_path / "out", "--dry_run", *more)
            runs = True
        except InputError:
            runs = False
        assert fit == runs, folder.name
        judged[folder.name] = fit
    assert set(judged.values()) == {True, False}


def shaded(number, seed=None, albedo=True, samples=2.0):
    """A frame of smooth surfaces with noise of this seed, none for None; without albedo, a texture of the light."""
    found = usual(number) | dict.fromkeys(("albedo.R", "albedo.G", "albedo.B"), np.full((H, W), 0.5, np.float32))
    rng = np.random.default_rng(seed)
    light = np.ones((H, W)) if seed is None else rng.gamma(samples, 1 / samples, (H, W))
    light = light * (1 if albedo else 0.2 + np.random.default_rng(99).random((H, W)))
    found |= dict.fromkeys("RGB", (0.4 * light).astype(np.float32))
    return {name: plane for name, plane in found.items() if albedo or not name.startswith("albedo")}


NOISE = {
    "repeated": lambda number: shaded(number, 0),
    "independent": lambda number: shaded(number, number),
    "held": lambda number: shaded(0, 0),
    "clean": lambda number: shaded(number),
    "texture at rest": lambda number: shaded(0, number, albedo=False, samples=50) | {"motion.X": np.zeros((H, W), "f")},
}


@pytest.mark.parametrize("kind", NOISE)
def test_noise_that_repeats_is_named_and_nothing_else(kind, tmp_path, capsys):
    """Noise that stands still on the screen while the camera pans."""
    folder = write_shot(tmp_path / "in", NOISE[kind])
    denoise(folder, tmp_path / "out", "--dry_run")
    assert ("noise of successive frames is alike" in capsys.readouterr().err) == (kind == "repeated")
    report = check_path.check(checking_options.build_parser().parse_args([str(folder)]))
    assert ("pattern" in {problem.kind for problem in report.problems}) == (kind == "repeated")
