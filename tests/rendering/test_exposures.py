"""Pins pixel filters and shutters: their widths, independent or correlated noise, guides of the color's own samples."""

from dataclasses import replace

import numpy as np
import pytest
from small_scene import KEYS, job, mi

from frames.exr import read_exr
from rendering import exposures as module
from rendering import variants
from rendering.cameras import Camera, as_numbers, between
from rendering.exposures import FILTERS, camera_at, camera_before, exposures, shuffled
from rendering.renderer import load_frame, render_auxiliary, render_frame, render_noisy
from rendering.tracing import Tracer

SIZE = {"width": 96, "height": 64}


def test_offsets_have_the_variance_that_the_pixel_leaves_to_the_filter(scene, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "EXPOSURES", 512)
    for name, wanted in FILTERS.items():
        offsets = np.array([e.offset for e in exposures(job(scene, tmp_path, pixel_filter=name), "target", 512)])
        if wanted.deviation is None:
            assert len(offsets) == 1 and not offsets.any()
        else:
            assert np.allclose(offsets.var(0) + 1 / 12, wanted.deviation**2, rtol=0.05)
            assert np.abs(offsets.mean(0)).max() < 0.02


def test_blackman_harris_has_the_deviation_of_its_window():
    a, x = (0.35875, 0.48829, 0.14128, 0.01168), np.linspace(-1.5, 1.5, 3001)
    window = sum(weight * np.cos(2 * np.pi * k * x / 3) for k, weight in enumerate(a))
    assert FILTERS["blackman-harris"].deviation == pytest.approx(
        np.sqrt((window * x**2).sum() / window.sum()), rel=1e-3
    )


def test_times_fill_the_shutter_evenly_and_not_in_order(scene, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "EXPOSURES", 64)
    times = np.array([e.time for e in exposures(job(scene, tmp_path, shutter=0.5), "target", 64)])
    assert np.abs(np.sort(times) - np.linspace(-0.25, 0.25, 64)).max() < 0.02
    assert (np.diff(times) < 0).mean() > 0.3


def test_a_still_camera_with_a_box_needs_one_exposure(scene, tmp_path):
    assert len(exposures(job(scene, tmp_path), "target", 64)) == 1


def test_cameras_between_frames_are_on_the_way(scene, tmp_path):
    made = job(scene, tmp_path)
    first, second = (Camera(**key) for key in KEYS[:2])
    for found, at in ((camera_at(made, 0), 1), (camera_at(made, -0.5), 0.5), (camera_before(made, -0.25), -0.25)):
        assert as_numbers(found) == pytest.approx(as_numbers(between(first, second, at)))
    later = camera_at(made, 0.25)  # without a next frame the camera moves on as it did
    assert as_numbers(later) == pytest.approx(as_numbers(between(first, second, 1.25)))


def test_each_pixel_takes_every_pass_once():
    passes = np.broadcast_to(np.arange(6.0)[:, None, None, None], (6, 4, 5, 2))
    mixed = shuffled(passes, np.random.default_rng(0))
    assert (np.sort(mixed, 0) == passes).all() and len(np.unique(mixed[0])) > 3
    assert (mixed[..., 0] == mixed[..., 1]).all(), "a sample keeps its channels"


def correlation(scene, tmp_path, **changes) -> float:
    """Of the noise of horizontal neighbors on the floor, from two noisy renderings."""
    frame = load_frame(job(scene, tmp_path, aux_spp=1, **SIZE, **changes))
    first, second = (np.log1p(image[0]) for image in render_noisy(frame, np.zeros((9, 64, 96), np.float32)))
    noise = (first - second)[40:]
    return float(np.corrcoef(noise[:, 1:].ravel(), noise[:, :-1].ravel())[0, 1])


@pytest.mark.parametrize("name", FILTERS)
def test_noise_of_neighbors_is_independent_unless_samples_are_splatted(scene, tmp_path, name):
    found = correlation(scene, tmp_path, pixel_filter=name)
    assert (found > 0.15) if FILTERS[name].splat else (abs(found) < 0.06)


def test_filters_blur_edges_of_color_and_guides_and_targets_agree(scene, tmp_path):
    """The mean over many samples is the same for filters of the same width, splatted or not, and blurred by it."""

    def target(name: str) -> dict:
        samples = {"spp": 64, "aux_spp": 64, "noisy": 1, "guides": "own"}
        render_frame(job(scene, tmp_path / name, pixel_filter=name, width=64, height=48, **samples))
        files = ("target", "noisy-0")
        return {f: read_exr(tmp_path / name / "frame-0001" / f"{f}.exr", ("normal", "depth")) for f in files}

    box, drawn, splatted = (target(name) for name in ("box", "gaussian", "splat-gaussian"))
    edge = np.abs(np.diff(box["target"]["normal"][1], axis=0)) > 0.3
    steep = [np.abs(np.diff(t["target"]["normal"][1], axis=0))[edge].mean() for t in (box, drawn)]
    assert steep[1] < 0.92 * steep[0], "blurred"
    for name in ("normal", "depth"):
        scale = np.abs(drawn["noisy-0"][name]).mean()
        assert np.abs(drawn["noisy-0"][name] - splatted["noisy-0"][name]).mean() < 0.05 * scale
        assert np.abs(drawn["noisy-0"][name] - drawn["target"][name]).mean() < 0.05 * scale


def test_own_guides_are_those_of_the_samples_of_the_color(scene, tmp_path):
    """Of one sample per pixel: a pixel shows one surface, so its normal has length 1 or 0, and its depth fits."""
    render_frame(job(scene, tmp_path, guides="own", aux_spp=64, **SIZE))
    noisy, other, target = (
        read_exr(tmp_path / "frame-0001" / f"{f}.exr", ("color", "normal", "depth", "albedo", "motion"))
        for f in ("noisy-0", "noisy-1", "target")
    )
    length = np.linalg.norm(noisy["normal"], axis=0)
    assert (np.abs(length - np.round(length)) < 0.01).all() and not np.array_equal(noisy["normal"], other["normal"])
    assert (np.abs(np.linalg.norm(target["normal"], axis=0) - 0.5) < 0.4).any(), "clean ones mix surfaces along edges"
    assert ((noisy["depth"][0] > 0) == (length > 0.5)).all()
    sky = noisy["depth"][0] == 0
    assert np.allclose(noisy["color"][:, sky], [[0.3], [0.3], [0.4]], atol=0.01), "what misses is the sky in color, too"
    assert np.abs(noisy["motion"] - target["motion"]).mean() < 0.1


def test_the_shutter_blurs_what_the_camera_passes(scene, tmp_path):
    def steps(shutter: float) -> np.ndarray:
        made = job(scene, tmp_path, shutter=shutter, aux_spp=64, **SIZE)
        fast = replace(made, before=replace(made.camera, origin=(-0.4, 1.6, 3.4), target=(-0.5, 0.5, 0)))
        return np.abs(np.diff(render_auxiliary(load_frame(fast))[2], axis=1))

    sharp, blurred = steps(0.0), steps(1.0)
    edge = sharp > 0.3
    assert blurred[edge].mean() < 0.8 * sharp[edge].mean()


def test_a_lens_blurs_what_is_out_of_focus(scene, tmp_path):
    made = job(scene, tmp_path, aux_spp=64, **SIZE)
    edges = []
    for aperture, focus in ((0.0, 1.0), (0.15, 1000.0)):
        frame = load_frame(replace(made, camera=replace(made.camera, aperture=aperture, focus=focus)))
        edges.append(np.abs(np.diff(render_auxiliary(frame)[0], axis=1)))
    sharp = edges[0] > np.percentile(edges[0], 97)
    assert edges[1][sharp].mean() < 0.7 * edges[0][sharp].mean()


def test_the_llvm_variant_repeats_recorded_calls_exactly(scene, tmp_path, monkeypatch):
    if variants.probe("llvm_ad_rgb"):
        pytest.skip("llvm_ad_rgb does not work here")
    frame = load_frame(job(scene, tmp_path, variant="llvm_ad_rgb", **SIZE))
    plain = Tracer(frame.tracer.scene, frame.tracer.integrators["color"])
    plain.records = False
    for seed, key in enumerate([*KEYS, *KEYS]):
        arguments = "color and points", 1, Camera(**key), (64, 96), seed, (0.1 * seed, -0.2)
        assert np.array_equal(frame.tracer(*arguments), plain(*arguments))
    assert mi.variant() == "llvm_ad_rgb" and frame.tracer.records
