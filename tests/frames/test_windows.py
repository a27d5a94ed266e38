"""Pins windows of frames: values in any unit, whether or not they come from the cache."""

import numpy as np
import pytest
from support import write_channels

from frames.cache import FrameCache, cache_entries
from frames.channels import PLAIN_INPUTS
from frames.exr import load_noisy, load_target
from frames.sequences import Split, find_sequences
from frames.windows import WindowReader


@pytest.mark.parametrize("cached", [True, False])
def test_values_in_any_unit_are_kept_as_exactly_as_half_floats_are(cached, tmp_path):
    """Radiance of 1e-5 to 1e7 and depth in any unit: a window has them in one unit, which is off by powers of two."""
    folder, rng = tmp_path / "data/train/A", np.random.default_rng(0)
    names = ("R", "G", "B", "depth.Z", "normal.R", "normal.G", "normal.B")
    units = [(1.0, 1.0), (1e-5, 1e3), (1e7, 1e-4)]
    for number, (radiance, depth) in enumerate(units):
        planes = rng.uniform(0.5, 1, (10, 40, 40)).astype(np.float32)
        planes[:3] *= radiance
        planes[3] *= depth
        planes[7:] *= radiance
        (folder / f"frame-{number:04d}").mkdir(parents=True)
        write_channels(folder / f"frame-{number:04d}/noisy-0.exr", dict(zip(names, planes, strict=False)))
        write_channels(folder / f"frame-{number:04d}/target.exr", dict(zip("RGB", planes[7:], strict=True)))
    (sequence,), _ = find_sequences(tmp_path / "data/train", need_target=True)
    split = Split([sequence], [sequence], [])
    cache = FrameCache(tmp_path / "data", tmp_path / "cache") if cached else None
    if cached:
        cache.prepare(cache_entries(split), 0)
        cache.find_files(cache_entries(split))
    reader = WindowReader(split.training, PLAIN_INPUTS, cache)
    for number, frame in enumerate(split.training[0].frames):
        found = reader.read([frame], [0], (slice(0, 40), slice(0, 40)))
        noisy, target = (found[name][0].numpy().astype(np.float32) for name in ("noisy", "target"))
        planes = np.moveaxis(load_noisy(frame.noisy[0], PLAIN_INPUTS)[0], 0, 2)
        ratio = noisy / planes
        for part in (
            ratio[..., :3],
            ratio[..., 3],
            ratio[..., 4:],
            target / np.moveaxis(load_target(frame.target)[0], 0, 2),
        ):
            exponent = round(np.log2(part.mean()))
            assert np.allclose(part, 2.0**exponent, rtol=1e-3) and (number or exponent == 0)
        radiance = target.mean() / load_target(frame.target)[0].mean()
        assert radiance == pytest.approx(ratio[..., :3].mean(), rel=1e-2), "targets in the units of their frames"
