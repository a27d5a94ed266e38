"""Pins the fit of a camera's motion: exact projections, robust least squares, silhouettes, and what moves by itself."""

import torch

from networks.camera import (
    VIEW,
    WAYS,
    better_of,
    fit_to_motion,
    motion_of,
    nearness,
    solved,
    ways_to_move,
)
from networks.motion import estimate_motion
from networks.warping import local_maximum, pixel_grid


def bumpy_depth(height=96, width=160, seed=0):
    """Smooth random depths along the ray, (1, 1, H, W)."""
    coarse = 2 + 3 * torch.rand(1, 1, 4, 6, generator=torch.Generator().manual_seed(seed))
    return torch.nn.functional.interpolate(coarse, size=(height, width), mode="bicubic")


def exact_motion(depth, turn, shift):
    """Where the points that a camera sees were in its previous picture, less where they are, (1, 2, H, W) pixels.

    From this camera's coordinates (x right, y down, z forward) to the previous one's: turned by the vector `turn`, in
    radians, and shifted.
    """
    width = depth.shape[-1]
    x, y = (places.double() for places in pixel_grid(depth))
    rays = torch.stack(((x + 0.5 - width / 2), (y + 0.5 - depth.shape[-2] / 2), torch.full_like(x, width / 2 / VIEW)))
    points = depth[0].double() * rays / rays.norm(dim=0)
    a, b, c = turn
    skew = torch.tensor([[0, -c, b], [c, 0, -a], [-b, a, 0]], dtype=torch.double)
    before = torch.einsum("ij,jhw->ihw", torch.linalg.matrix_exp(skew), points)
    before = before + torch.tensor(shift, dtype=torch.double)[:, None, None]
    return ((before[:2] / before[2:] * width / 2 / VIEW) - rays[:2])[None].float()


def test_eight_numbers_say_how_a_camera_moves_the_picture():
    depth = bumpy_depth()
    motion = exact_motion(depth, (0.004, -0.007, 0.01), (0.03, 0.02, -0.04))
    near = nearness(depth)
    error = motion_of(fit_to_motion(near, motion), ways_to_move(near)) - motion
    assert motion.norm(dim=1).mean() > 0.9 and error.norm(dim=1).max() < 0.05


def test_a_fifth_of_wrong_motion_does_not_matter():
    depth = bumpy_depth()
    motion = exact_motion(depth, (0, 0.01, 0), (0.05, 0, 0.02))
    near, wrong = nearness(depth), motion.clone()
    wrong[..., 60:92] += 5
    error = motion_of(fit_to_motion(near, wrong), ways_to_move(near)) - motion
    assert error.norm(dim=1).max() < 0.1


def test_elimination_solves_as_the_library_does():
    generator = torch.Generator().manual_seed(0)
    factor = torch.randn(3, WAYS, 20, generator=generator, dtype=torch.double)
    matrix, right = factor @ factor.mT, torch.randn(3, WAYS, 1, generator=generator, dtype=torch.double)
    diagonal = matrix.diagonal(dim1=1, dim2=2)
    damped = matrix + torch.diag_embed(1e-3 * diagonal + 1e-5 * diagonal.mean(1, keepdim=True))
    assert torch.allclose(solved(matrix, right), torch.linalg.solve(damped, right), rtol=1e-6)


def test_without_any_equation_nothing_moves():
    assert solved(torch.zeros(1, WAYS, WAYS), torch.zeros(1, WAYS, 1)).abs().max() == 0


def test_nearness_does_not_depend_on_the_unit_of_depth():
    depth = bumpy_depth()
    assert torch.allclose(nearness(100 * depth), nearness(depth), rtol=1e-4)


def test_a_rim_is_as_near_as_what_it_belongs_to():
    depth = torch.zeros(1, 1, 32, 32)
    depth[..., :16] = 5.0
    depth[..., 16] = 0.5  # a tenth of the pixel is covered, the rest is a miss
    near = nearness(depth)
    assert (near[..., 16] / near[..., 12]).sub(1).abs().max() < 0.05 and near[..., 17:].abs().max() == 0


def test_nothing_hit_is_nowhere_near():
    assert nearness(torch.zeros(1, 1, 32, 32)).abs().max() == 0


def surfaces(depth, albedo):
    """(1, 7, H, W) depth, normal, albedo of what faces the camera. albedo: (1, 1, H, W)."""
    normal = torch.zeros_like(depth).expand(-1, 3, -1, -1).clone()
    normal[:, 2] = 1
    return torch.cat((depth, normal, albedo.expand(-1, 3, -1, -1)), 1)


def stripes(x, y):
    """A texture, at continuous places."""
    return 0.5 + 0.2 * torch.sin(x / 5) * torch.cos(y / 7)


def two_frames(motion, depth, textured):
    """Surfaces of two frames, the later of which has this (1, 2, H, W) motion. textured: where it shows anything."""
    x, y = pixel_grid(depth)
    then = stripes(x, y).where(textured, 0.5)
    now = stripes(x + motion[:, 0], y + motion[:, 1]).where(textured, 0.5)
    return surfaces(depth, then[None, None]), surfaces(depth, now[None])


def test_the_camera_moves_what_shows_nothing_too():
    depth = bumpy_depth()
    motion = exact_motion(depth, (0, 0.02, 0), (0, 0, 0.1))
    textured = pixel_grid(depth)[0] < 64  # the right side is blank
    then, now = two_frames(motion, depth, textured)
    error = (estimate_motion(then, now) - motion).norm(dim=1)[0]
    assert motion[..., 100:150].norm(dim=1).mean() > 2
    assert error[10:-10, 10:50].mean() < 0.1 and error[10:-10, 100:150].mean() < 0.5


def test_of_two_fits_each_picture_takes_the_one_that_explains_more():
    depth = bumpy_depth()
    motion = exact_motion(depth, (0, 0.02, 0), (0, 0, 0.1))
    near = nearness(depth)
    right = fit_to_motion(near, motion)
    rest, doubled = torch.zeros_like(right), 2 * right
    frames = (planes[:, 4:].expand(2, -1, -1, -1) for planes in two_frames(motion, depth, torch.ones(96, 160) > 0))
    fits = torch.cat((rest, right)), torch.cat((right, doubled))
    assert torch.equal(better_of(*fits, near.expand(2, -1, -1, -1), *frames), torch.cat((right, right)))


def test_what_moves_by_itself_is_found_and_the_rest_is_not_disturbed():
    depth = torch.full((1, 1, 128, 160), 4.0)
    motion = exact_motion(depth, (0, 0.01, 0), (0, 0, 0))
    x, y = pixel_grid(depth)
    thing = ((x - 80).square() + (y - 64).square() < 24**2)[None, None]
    motion = torch.where(thing, motion + torch.tensor([1.5, -1.0])[:, None, None], motion)
    then, now = two_frames(motion, depth, torch.ones_like(thing[0, 0]))
    error = (estimate_motion(then, now) - motion).norm(dim=1, keepdim=True)
    around = local_maximum(thing.float()) == 0
    for _ in range(6):
        around = local_maximum((~around).float()) == 0
    assert error[thing].median() < 0.8 and error[around].median() < 0.1
