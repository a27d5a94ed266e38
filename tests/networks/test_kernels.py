"""Pins the kernels: weights sum to one, edges in the guides stop them, gathered taps equal a slow sum."""

import pytest
import torch

from networks.kernels import (
    COARSE_TAPS,
    FINEST_RADIUS,
    RADIUS,
    ROWS,
    Level,
    filter_level,
    level_outputs,
    pad,
    shifted,
    tap_count,
)


def level(height=6, width=8, radius=RADIUS, coarse=True, seed=0):
    """Random arguments of filter_level."""
    generator = torch.Generator().manual_seed(seed)

    def rand(*shape):
        return torch.rand(*shape, generator=generator)

    coarser = None
    if coarse:
        size = height // 2, width // 2
        coarser = Level(rand(1, 6, *size), rand(1, 1, *size), rand(1, 8, *size))
    head = rand(1, level_outputs(radius, coarse), height, width)
    picture, log_weight, guides = rand(1, 6, height, width), rand(1, 1, height, width), rand(1, 8, height, width)
    return Level(picture, log_weight, guides), head, radius, coarser


@pytest.mark.parametrize("coarse", [True, False])
@pytest.mark.parametrize("radius", [FINEST_RADIUS, RADIUS])
def test_a_constant_stays_constant(radius, coarse):
    own, head, radius, coarser = level(radius=radius, coarse=coarse)
    own.picture[:] = 0.3
    if coarser:
        coarser.picture[:] = 0.3
    result = filter_level(own, head, radius, coarser)
    assert torch.allclose(result, torch.full_like(result, 0.3), atol=1e-6)


def test_a_result_lies_between_the_smallest_and_largest_tap():
    own, *rest = level()
    result = filter_level(own, *rest)
    both = torch.cat((own.picture.flatten(2), rest[-1].picture.flatten(2)), 2)
    assert (result.flatten(2) >= both.amin(2, keepdim=True)).all()
    assert (result.flatten(2) <= both.amax(2, keepdim=True)).all()


def test_filtering_equals_the_slow_sum():
    own, head, radius, coarser = level()
    picture, log_weight, guides = own
    result = filter_level(own, head, radius, coarser)
    bandwidths = head[0, -3:].exp() * torch.tensor([50.0, 4.0, 4.0])[:, None, None]
    for y, x in ((0, 0), (3, 4), (5, 7), (2, 0)):
        logits, values = [], []

        def add(value, weight, guide, y=y, x=x, logits=logits, values=values):
            squares = (guide - guides[0, :, y, x]).square()
            distance = bandwidths[0, y, x] * squares[0]
            distance = distance + bandwidths[1, y, x] * squares[1:4].sum() + bandwidths[2, y, x] * squares[4:].sum()
            logits.append(head[0, len(logits), y, x] + weight - distance)
            values.append(value)

        for dy in range(-radius, radius + 1):
            for dx in range(-radius, radius + 1):
                row, column = min(max(y + dy, 0), 5), min(max(x + dx, 0), 7)
                add(picture[0, :, row, column], log_weight[0, 0, row, column], guides[0, :, row, column])
        for dy in (-1, 0, 1):
            for dx in (-1, 0, 1):
                row, column = min(max(y // 2 + dy, 0), 2), min(max(x // 2 + dx, 0), 3)
                add(
                    coarser.picture[0, :, row, column],
                    coarser.log_weight[0, 0, row, column],
                    coarser.guides[0, :, row, column],
                )
        assert len(logits) == tap_count(radius) + COARSE_TAPS
        weights = torch.stack(logits).softmax(0)
        wanted = (torch.stack(values) * weights[:, None]).sum(0)
        assert torch.allclose(result[0, :, y, x], wanted, atol=1e-5)


def test_an_edge_of_the_guides_is_not_crossed():
    own, head, radius, _ = level(coarse=False)
    picture, _, guides = own
    guides[:] = 0
    guides[:, 0, :, 4:] = 3.0  # in log depth: twenty times as far
    head[:] = 0
    picture[..., :4], picture[..., 4:] = 0.0, 1.0
    result = filter_level(own, head, radius, None)
    assert torch.allclose(result, picture, atol=1e-6)


def test_rows_at_a_time_give_the_same():
    arguments = level(height=2 * ROWS + 6, width=10)
    whole = filter_level(*arguments)
    with torch.no_grad():
        assert torch.allclose(filter_level(*arguments), whole, atol=1e-6)


def test_shifted_planes_repeat_the_border():
    planes = torch.arange(6.0).reshape(1, 1, 2, 3)
    views = shifted(pad(planes, 1), 1, 2, 3)
    assert len(views) == 9 and torch.equal(views[4], planes)
    assert views[0].flatten().tolist() == [0, 0, 1, 0, 0, 1]
