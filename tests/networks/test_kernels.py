"""Pins the kernels: weights sum to one, edges in the guides stop them, taps and gradients equal slow ones."""

import pytest
import torch

from networks import kernels
from networks.cpu import ROWS
from networks.heads import COARSE_SHARES, output_counts, with_nearest
from networks.kernels import (
    BANDWIDTH_SCALES,
    CORNERS,
    Level,
    Misfit,
    TapSum,
    diamond,
    misfit,
    reach_of,
    rows_with_margin,
    shifted,
)

TAPS = diamond(2)  # below full size, of the default network
FINEST_TAPS = diamond(1)  # at full size


def level(height=6, width=8, taps=TAPS, coarse=True, seed=0):
    """Random arguments of filter_level."""
    generator = torch.Generator().manual_seed(seed)

    def rand(*shape):
        return torch.rand(*shape, generator=generator)

    coarser = Level(*(rand(1, c, height // 2, width // 2) for c in (7, 9))) if coarse else None
    head = rand(1, sum(output_counts(len(taps), coarse)), height, width)
    return Level(rand(1, 7, height, width), rand(1, 9, height, width)), head, taps, coarser


def filter_level(own, head, taps, coarser):
    """kernels.filter_level with all of the head at once."""
    return kernels.filter_level(own, lambda top, end: with_nearest(head, taps)[:, :, top:end], taps, coarser)


def picture(level):
    """What the samples of a level show: their sums over their weight."""
    return level.samples[:, :-1] / level.samples[:, -1:]


@pytest.mark.parametrize("coarse", [True, False])
@pytest.mark.parametrize("taps", [FINEST_TAPS, TAPS], ids=["5", "13"])
def test_a_constant_stays_constant(taps, coarse):
    own, head, taps, coarser = level(taps=taps, coarse=coarse)
    for some in (own, *([coarser] if coarser else [])):
        some.samples[:, :-1] = 0.3 * some.samples[:, -1:]
    result = filter_level(own, head, taps, coarser)
    assert torch.allclose(result, torch.full_like(result, 0.3), atol=1e-6)


def test_a_result_lies_between_the_smallest_and_largest_tap():
    own, *rest = level()
    result = filter_level(own, *rest)
    both = torch.cat((picture(own).flatten(2), picture(rest[-1]).flatten(2)), 2)
    assert (result.flatten(2) >= both.amin(2, keepdim=True) - 1e-5).all()
    assert (result.flatten(2) <= both.amax(2, keepdim=True) + 1e-5).all()


@pytest.mark.parametrize("taps", [FINEST_TAPS, TAPS], ids=["5", "13"])
def test_filtering_equals_the_slow_sum(taps):
    own, head, taps, coarser = level(taps=taps)
    middle = 2 if taps is TAPS else 1
    result = filter_level(own, head, taps, coarser)
    bandwidths = head[0, -4:].exp() * torch.tensor(BANDWIDTH_SCALES)[:, None, None]
    for y, x in ((0, 0), (3, 4), (5, 7), (2, 0)):
        logits, values = [], []

        def add(level, row, column, logit, y=y, x=x, logits=logits, values=values):
            squares = (level.guides[0, :, row, column] - own.guides[0, :, y, x]).square()
            groups = squares[:1].sum(), squares[1:4].sum(), squares[4:8].sum(), squares[8:].sum()
            distance = sum(bandwidths[i, y, x] * group for i, group in enumerate(groups))
            logits.append(head[0, logit, y, x] + level.samples[0, -1, row, column].log() - distance)
            values.append(picture(level)[0, :, row, column])

        for row, column in taps:
            add(own, min(max(y + row - middle, 0), 5), min(max(x + column - middle, 0), 7), len(logits))
        rows, columns = ((0, -1) if place % 2 == 0 else (0, 1) for place in (y, x))  # the nearer first
        for dy in rows:
            for dx in columns:
                own_logit = len(taps) + 3 * (dy + 1) + dx + 1
                add(coarser, min(max(y // 2 + dy, 0), 2), min(max(x // 2 + dx, 0), 3), own_logit)
                down, across = (COARSE_SHARES[0 if d else 1] for d in (dy, dx))
                logits[-1] = logits[-1] + torch.tensor(9 * down * across).log()
        assert len(logits) == len(taps) + 4
        weights = torch.stack(logits).softmax(0)
        wanted = (torch.stack(values) * weights[:, None]).sum(0)
        assert torch.allclose(result[0, :, y, x], wanted, atol=1e-5)


def test_an_edge_of_the_guides_is_not_crossed():
    own, head, taps, _ = level(coarse=False)
    samples, guides = own
    guides[:] = 0
    guides[:, 0, :, 4:] = 3.0  # in log depth: twenty times as far
    head[:] = 0
    samples[:, :-1, :, :4], samples[:, :-1, :, 4:] = 0.0, samples[:, -1:, :, 4:]
    assert torch.allclose(filter_level(own, head, taps, None), picture(own), atol=1e-6)


def test_taps_that_stand_for_more_samples_count_more():
    own, head, taps, _ = level(coarse=False)
    own.guides[:], head[:], own.samples[:] = 0, 0, 1
    own.samples[:, :, 3, 4] = torch.tensor([5.0] * 6 + [10.0])  # ten samples of 0.5 among 12 of 1
    assert filter_level(own, head, taps, None)[0, 0, 3, 4] == pytest.approx((12 + 5) / (12 + 10))


@pytest.mark.parametrize("taps", [FINEST_TAPS, CORNERS], ids=["diamond", "corners"])
def test_the_sum_of_taps_has_the_gradient_of_its_formula(taps):
    generator = torch.Generator().manual_seed(0)
    weights = torch.rand(1, len(taps), 4, 5, generator=generator, dtype=torch.double, requires_grad=True)
    padded = torch.rand(1, 2, 6, 7, generator=generator, dtype=torch.double, requires_grad=True)
    assert torch.autograd.gradcheck(TapSum.apply, (weights, padded, taps))


@pytest.mark.parametrize("large_steps", [False, True])
def test_the_misfit_has_the_gradient_of_its_formula(monkeypatch, large_steps):
    monkeypatch.setattr(kernels, "large_steps", lambda planes: large_steps)
    generator = torch.Generator().manual_seed(0)
    bandwidths = torch.rand(2, 4, 3, 5, generator=generator, dtype=torch.double, requires_grad=True)
    guides, *taps = torch.rand(4, 2, 9, 3, 5, generator=generator, dtype=torch.double)
    assert torch.autograd.gradcheck(Misfit.apply, (bandwidths, guides, *taps))


def test_rows_at_a_time_give_the_same():
    arguments = level(height=2 * ROWS + 6, width=10)
    whole = filter_level(*arguments)
    with torch.no_grad():
        assert torch.allclose(filter_level(*arguments), whole, atol=1e-6)


def test_equal_logits_enlarge_a_ramp_without_steps():
    own, head, taps, coarser = level(height=12, width=12)
    head[:], own.guides[:], coarser.guides[:] = 0, 0, 0
    own.samples[:] = 1e-6  # as good as no samples: all comes from the coarser level
    place = torch.arange(6.0)
    coarser.samples[:, :-1], coarser.samples[:, -1:] = place[:, None] + 2 * place, 1.0
    result = filter_level(own, head, taps, coarser)[0, 0]
    fine = (torch.arange(12.0) - 0.5) / 2  # the fine pixels' centers, in coarse pixels
    assert torch.allclose(result[2:-2, 2:-2], (fine[:, None] + 2 * fine)[2:-2, 2:-2], atol=1e-4)


@pytest.mark.parametrize(("top", "end"), [(0, 2), (0, 1), (1, 2)])
def test_rows_with_margin_repeat_the_border(top, end):
    planes = torch.arange(6.0).reshape(1, 1, 2, 3)
    whole = torch.tensor([[0, 0, 1, 2, 2], [0, 0, 1, 2, 2], [3, 3, 4, 5, 5], [3, 3, 4, 5, 5]])
    assert torch.equal(rows_with_margin(planes, top, end, 1)[0, 0], whole[top : end + 2])


def test_a_diamond_has_what_is_within_so_many_steps():
    assert diamond(0) == ((0, 0),) and diamond(1) == ((0, 1), (1, 0), (1, 1), (1, 2), (2, 1))
    assert len(diamond(2)) == 13 and (0, 2) in diamond(2) and (0, 1) not in diamond(2)
    assert [reach_of(diamond(radius)) for radius in range(4)] == [0, 1, 2, 3]


def test_shifted_planes_are_views_at_every_tap():
    padded = rows_with_margin(torch.arange(6.0).reshape(1, 1, 2, 3), 0, 2, 1)
    views = shifted(padded, FINEST_TAPS, 2, 3)
    assert len(views) == 5 and torch.equal(views[2], padded[..., 1:3, 1:4])
    assert views[1].flatten().tolist() == [0, 0, 1, 3, 3, 4]


def test_the_misfit_is_the_same_without_a_gradient_and_in_large_steps(monkeypatch):
    generator = torch.Generator().manual_seed(0)
    bandwidths, guides = torch.rand(2, 4, 6, 8, generator=generator), torch.rand(2, 9, 6, 8, generator=generator)
    padded = torch.rand(2, 9, 8, 10, generator=generator)
    taps = shifted(padded, FINEST_TAPS, 6, 8)
    expected = misfit(bandwidths.clone().requires_grad_(), guides, taps)
    torch.testing.assert_close(misfit(bandwidths, guides, taps), expected.detach())
    monkeypatch.setattr(kernels, "large_steps", lambda planes: True)
    torch.testing.assert_close(misfit(bandwidths.clone().requires_grad_(), guides, taps), expected)
