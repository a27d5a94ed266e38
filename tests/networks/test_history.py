"""Pins reprojection: equal to a slow reference, validity at a known occlusion, what is missing, gradients."""

import math

import pytest
import torch

from networks import history as history_module
from networks.history import (
    AGREEMENT,
    ALBEDO_TOLERANCE,
    DEPTH_EDGE,
    DEPTH_TOLERANCE,
    EDGE_ALBEDO_TOLERANCE,
    EDGE_DEPTH_TOLERANCE,
    NO_ALBEDO,
    NORMAL_TOLERANCE,
    History,
    rescaled,
    warp_hidden,
)

PARTS = 3, 7, 1, 7  # channels of previous, samples, brightness and surface: here all in one tensor
PREVIOUS, BRIGHTNESS, SURFACE = slice(3), slice(10, 11), slice(11, 18)


def random_frame(height=9, width=11, seed=0):
    """A history, the motion and the surface of the next frame; some surfaces agree, some do not."""
    generator = torch.Generator().manual_seed(seed)
    history = torch.rand(1, sum(PARTS), height, width, generator=generator)
    surface = history[:, SURFACE] + 0.08 * torch.rand(1, 7, height, width, generator=generator)
    motion = 3 * torch.randn(1, 2, height, width, generator=generator)
    return history, motion, surface


def reproject(history, motion, surface, divisor):
    """history.reproject of parts in one tensor."""
    found, validity = history_module.reproject(History(*history.split(PARTS, 1)), motion, surface, divisor)
    return torch.cat(found.tensors(), 1), validity


def moved(history, motion, surface):
    """`reproject` where nothing is divided by."""
    return reproject(history, motion, surface, torch.ones_like(surface[:, :3]))


def slow_edge(depth, y, x):
    """Whether the depth of this pixel differs from the mean of nine; beyond the border, the border is repeated."""
    around = [
        depth[min(max(y + dy, 0), depth.shape[0] - 1), min(max(x + dx, 0), depth.shape[1] - 1)]
        for dy in (-1, 0, 1)
        for dx in (-1, 0, 1)
    ]
    return abs(depth[y, x] - sum(around) / 9) > DEPTH_EDGE * depth[y, x]


def slow_border(albedo, y, x):
    """Whether this pixel has an albedo and one of the nine around it has none."""
    around = albedo[:, max(y - 1, 0) : y + 2, max(x - 1, 0) : x + 2].amax(0)
    return albedo[:, y, x].max() > NO_ALBEDO and (around <= NO_ALBEDO).any()


def slow_reproject(history, motion, surface, divisor, y, x):
    """One pixel, tap by tap, as the definition reads."""
    _, _, height, width = history.shape
    place_x, place_y = x + float(motion[0, 0, y, x]), y + float(motion[0, 1, y, x])
    left, top = math.floor(place_x), math.floor(place_y)
    total, kept = torch.zeros(SURFACE.start), 0.0
    now = surface[0, :, y, x]
    for row, column in ((top, left), (top, left + 1), (top + 1, left), (top + 1, left + 1)):
        if not (0 <= row < height and 0 <= column < width):
            continue
        then = history[0, SURFACE, row, column]
        strict = slow_edge(history[0, SURFACE][0], row, column) and not slow_edge(surface[0, 0], y, x)
        near = abs(then[0] - now[0]) <= (EDGE_DEPTH_TOLERANCE if strict else DEPTH_TOLERANCE) * max(then[0], now[0])
        facing = then[1:4].dot(now[1:4]) >= NORMAL_TOLERANCE * then[1:4].norm() * now[1:4].norm()
        lamp = slow_border(history[0, SURFACE][4:], row, column) and not slow_border(surface[0, 4:], y, x)
        alike = (then[4:] - now[4:]).abs().max() <= (EDGE_ALBEDO_TOLERANCE if lamp else ALBEDO_TOLERANCE)
        if near and facing and alike:
            share = (1 - abs(place_y - row)) * (1 - abs(place_x - column))
            total, kept = total + share * history[0, : SURFACE.start, row, column], kept + share
    total = total / kept if kept > 1e-4 else total
    divided, brightness = float((total[PREVIOUS] * divisor[0, :, y, x]).mean()), float(total[BRIGHTNESS])
    if divided > 0:
        total[PREVIOUS] *= min(max(divided, brightness / AGREEMENT), brightness * AGREEMENT) / divided
    return total, kept


@pytest.mark.parametrize("smooth", [False, True])
def test_reprojection_equals_the_slow_one(smooth):
    history, motion, surface = random_frame()
    if smooth:  # no edges in this frame, some in the one before
        history[:, SURFACE.start] = 1 + 0.08 * history[:, SURFACE.start]
        history[:, -3:, 4, 2:9:3] = 0
        surface[:, 0] = 1.04
    divisor = 0.1 + 3 * torch.rand(1, 3, *history.shape[2:], generator=torch.Generator().manual_seed(1))
    found, validity = reproject(history, motion, surface, divisor)
    kinds = set()
    for y in range(history.shape[2]):
        for x in range(history.shape[3]):
            wanted, kept = slow_reproject(history, motion, surface, divisor, y, x)
            assert validity[0, 0, y, x] == pytest.approx(float(kept), abs=1e-5)
            if kept == 0 or kept > 1e-3:
                assert torch.allclose(found[0, : SURFACE.start, y, x], wanted, atol=1e-4)
            kinds.add("none" if kept == 0 else "some" if kept < 0.999 else "all")
    assert kinds >= {"none", "some"} and torch.equal(found[:, SURFACE], surface)


def wall_and_box(column):
    """A far wall with a near box of four columns that begins at `column`: (1, 7, 8, 20)."""
    surface = torch.zeros(1, 7, 8, 20)
    surface[:, 0], surface[:, 3], surface[:, 4:] = 5.0, 1.0, 0.5
    surface[:, 0, :, column : column + 4] = 2.0
    return surface


def test_what_an_object_uncovers_has_no_history():
    """The box moves three pixels to the right: behind it are three columns of wall that nobody has seen."""
    history = torch.zeros(1, sum(PARTS), 8, 20)
    history[:, SURFACE] = wall_and_box(8)
    history[:, : SURFACE.start] = torch.arange(20.0)
    surface, motion = wall_and_box(11), torch.zeros(1, 2, 8, 20)
    motion[:, 0, :, 11:15] = -3
    found, validity = moved(history, motion, surface)
    assert (validity[..., 8:11] == 0).all() and (found[:, :10, :, 8:11] == 0).all()
    assert (validity[..., :8] == 1).all() and (validity[..., 11:] == 1).all()
    assert torch.equal(found[0, 0, 0, 11:15], torch.arange(8.0, 12.0))


def test_what_shows_a_little_of_a_lamp_leaves_nothing_on_the_wall_behind_it():
    """A pixel at the lamp's edge has a depth near the wall's; once the lamp has left, the wall takes nothing of it."""
    history = torch.zeros(1, sum(PARTS), 8, 20)
    history[:, SURFACE] = wall_and_box(8)
    history[:, SURFACE.start, :, 12] = 4.6  # 13 percent of it are the lamp
    history[:, : SURFACE.start, :, 12] = 100.0
    surface, motion = wall_and_box(4), torch.zeros(1, 2, 8, 20)
    found, validity = moved(history, motion, surface)
    assert (validity[..., 12] == 0).all() and (found[:, :10, :, 12] == 0).all()
    assert (validity[..., 13:] == 1).all(), "beside it, and the wall alone"
    again = history[:, SURFACE].clone()
    assert (moved(history, motion, again)[1] == 1).all(), "what stands still keeps its edges"


def test_what_shows_a_little_of_a_lamp_on_the_wall_leaves_nothing_beside_it():
    """The lamp is as far as the wall, so only its missing albedo tells it apart. Its border has a tenth less albedo."""
    history = torch.zeros(1, sum(PARTS), 8, 20)
    history[:, SURFACE] = wall_and_box(30)
    history[:, -3:, :, 8:12], history[:, -3:, :, 12] = 0, 0.45
    history[:, : SURFACE.start, :, 8:13] = 100.0
    wall, motion = wall_and_box(30), torch.zeros(1, 2, 8, 20)
    found, validity = moved(history, motion, wall)
    assert (validity[..., 8:13] == 0).all() and (found[:, :10, :, 8:13] == 0).all()
    assert (validity[..., 13:] == 1).all() and (validity[..., :8] == 1).all(), "whose albedo is the wall's"
    assert (moved(history, motion, history[:, SURFACE].clone())[1] == 1).all(), "what stands still keeps its border"


def test_a_constant_stays_constant_and_outside_the_picture_is_nothing():
    history, motion, _ = random_frame()
    history[:, : SURFACE.start] = 0.7
    found, validity = moved(history, motion, history[:, SURFACE].clone())
    assert torch.allclose(found[:, :10, validity[0, 0] > 1e-3], torch.tensor(0.7), atol=1e-4)
    far = torch.full_like(motion, 1e4)
    assert (moved(history, far, history[:, SURFACE])[1] == 0).all()


def test_a_reflection_does_not_glow_where_the_albedo_falls_to_nothing():
    """Mirror-like metal, as bright everywhere, whose albedo as written falls from 1 to 0.01, moves by half a pixel."""
    albedo = torch.logspace(0, -2, 9).expand(1, 3, 4, 9)
    history = torch.zeros(1, sum(PARTS), 4, 9)
    history[:, PREVIOUS], history[:, BRIGHTNESS] = 0.6 / albedo, 0.6
    history[:, SURFACE.start], history[:, -3:] = 5.0, albedo
    motion = torch.zeros(1, 2, 4, 9)
    motion[:, 0] = 0.5
    far = 9 * albedo  # by which an edge of it might be divided, see albedo_divisor
    for divisor in (albedo, far, albedo / 9):
        found, validity = reproject(history, motion, history[:, SURFACE], divisor)
        glow = (found[:, PREVIOUS] * divisor / 0.6)[:, :, validity[0, 0] > 0]
        assert glow.min() > 0.99 / AGREEMENT and glow.max() < 1.01 * AGREEMENT
    unchanged, _ = reproject(history, torch.zeros_like(motion), history[:, SURFACE], albedo)
    assert torch.allclose(unchanged[:, PREVIOUS], history[:, PREVIOUS])


def test_gradients_reach_the_frame_before():
    history, motion, surface = random_frame()
    history.requires_grad_()
    moved(history, 0.3 * motion, surface)[0].sum().backward()
    assert history.grad[:, :10].abs().sum() > 0 and torch.isfinite(history.grad).all()


@pytest.mark.parametrize("stride", [1, 2])
def test_hidden_states_move_by_whole_pixels_and_fade_with_validity(stride):
    hidden = torch.rand(1, 3, 6, 8, generator=torch.Generator().manual_seed(0))
    motion = torch.zeros(1, 2, 6 * stride, 8 * stride)
    motion[:, 0], motion[:, 1] = 2.0 * stride, -1.0 * stride
    validity = torch.full((1, 1, 6 * stride, 8 * stride), 0.5)
    warped = warp_hidden(hidden, motion, validity, stride)
    assert torch.allclose(warped[..., 1:, :-2], 0.5 * hidden[..., :-1, 2:], atol=1e-5)
    assert warped[..., 0, :].abs().max() < 1e-6 and warped[..., -2:].abs().max() < 1e-6


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_hidden_states_move_alike_with_and_without_a_gradient(dtype):
    """Without one, in the memory format of test.py, they are fetched in another way (networks/warping.py)."""
    generator = torch.Generator().manual_seed(0)
    hidden = torch.rand(2, 5, 6, 8, generator=generator).to(dtype).to(memory_format=torch.channels_last)
    motion = 4 * torch.randn(2, 2, 12, 16, generator=generator)
    validity = torch.rand(2, 1, 12, 16, generator=generator)
    expected = warp_hidden(hidden, motion, validity, 2)
    with torch.inference_mode():
        found = warp_hidden(hidden, motion, validity, 2)
    assert found.dtype == dtype and found.is_contiguous(memory_format=torch.channels_last)
    assert torch.allclose(found.float(), expected.float(), atol=1e-5 if dtype == torch.float32 else 1e-2)
    assert (found[:, :, 0] == 0).any() and (found != 0).any(), "some come from beyond the edge, some do not"


@pytest.mark.parametrize("colors", [1, 2])
def test_a_history_in_other_units(colors):
    counts = 3 * colors, 6 * colors + 1, 1, 7, 3  # with the output of a detail stage
    history = History(*(torch.rand(2, count, 3, 4) + 0.1 for count in counts))
    factors = torch.tensor([[2.0, 3.0], [5.0, 7.0]])
    found = rescaled(history, factors)
    found = torch.cat(found.tensors(), 1) / torch.cat(history.tensors(), 1)
    for b, (radiance, depth) in enumerate(factors.tolist()):
        wanted = [radiance] * 9 * colors + [1.0, radiance, depth] + [1.0] * 6 + [radiance] * 3
        assert torch.allclose(found[b], torch.tensor(wanted)[:, None, None].expand(-1, 3, 4))
