"""Camera-space normals, turned so that a surface keeps its normal while the camera turns.

The network compares the normals of successive frames, and was trained with normals in world space. Files seldom say
how the camera turned, but the normals do: the rotation between two frames is the one that takes the normals of this
frame to those that the same surfaces had in the frame before. Step by step, all frames get the axes of the first.

Shapes: H rows, W columns. A surface: (7, H, W) depth, normal, albedo. Motion: (2, H, W), as inference/conventions.py.
"""

import torch
import torch.nn.functional as F

from inference.conventions import MISSING
from networks.autoencoder import pad_to_multiple
from networks.motion import LEVELS, estimate_motion
from networks.warping import warp

NORMAL = slice(1, 4)
DEPTH_TOLERANCE = 0.05  # relative; surfaces that differ more are not the same
FEWEST = 200  # pixels; from fewer no rotation is read
POINTS = 20_000  # pixels from which a rotation is read, at most
ROUNDS = 12  # of fitting
EXACT = 1e-3  # distance of two normals, below which they count no more
OPEN = 1e-3  # how little, of 1, the normals must say about an axis to leave it open
CLEARLY = 0.95  # a rotation that leaves less than this share of the difference explains what it can
TURN = 0.2  # degrees; smaller rotations do not matter
LONG = 0.7  # length of a normal; shorter ones are means over an edge
EDGEWISE, NEARLY_ALL = 0.15, 0.98


def complete_motion(then: torch.Tensor, now: torch.Tensor, motion: torch.Tensor) -> torch.Tensor:
    """The motion; where it is MISSING, estimated from depth and albedo of the two frames."""
    known = motion.abs().amax(0) < MISSING / 2
    if known.all():
        return motion
    padded = [pad_to_multiple(surface[None], 2**LEVELS).clone() for surface in (then, now)]
    for surface in padded:
        surface[:, NORMAL] = 0
    estimated = estimate_motion(*padded)[0, :, : motion.shape[1], : motion.shape[2]]
    return motion.where(known, estimated)


def normal_pairs(then: torch.Tensor, now: torch.Tensor, motion: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Normals of the same surface points in the frame before and in this one, (N, 3) each."""
    motion = complete_motion(then, now, motion)
    before = warp(then[None, :4], motion[None], outside="zeros")[0]  # (4, H, W) depth, normal
    near = (before[0] - now[0]).abs() < DEPTH_TOLERANCE * now[0]
    lengths = torch.minimum(before[NORMAL].norm(dim=0), now[NORMAL].norm(dim=0))
    kept = near & (lengths > LONG)
    return tuple(F.normalize(normals[:, kept].T, dim=1) for normals in (before[NORMAL], now[NORMAL]))


def fit_turn(before: torch.Tensor, after: torch.Tensor) -> torch.Tensor:
    """The (3, 3) rotation that takes normals `after` to `before`, (N, 3) each: the smallest that fits.

    Minimizes the sum of distances, by least squares whose weights are their inverses, so that what moves by itself
    counts little. Where the normals leave an axis open, as on a single plane, there is no turn about it.
    """
    turn = torch.eye(3, dtype=torch.float64)
    before, after = (normals[:: len(normals) // POINTS + 1].double() for normals in (before, after))
    for _ in range(ROUNDS if len(before) >= FEWEST else 0):
        turned = after @ turn.T
        weights = 1 / (turned - before).norm(dim=1, keepdim=True).clamp(min=EXACT)
        # a small further rotation w: turned + w x turned = before
        outer = turned[:, :, None] * turned[:, None]
        matrix = (weights[:, :, None] * (torch.eye(3) - outer)).mean(0)
        moment = (weights * turned.cross(before, dim=1)).mean(0)
        step = torch.linalg.solve(matrix + OPEN * weights.mean() * torch.eye(3), moment)
        turn = torch.linalg.matrix_exp(cross_matrix(step)) @ turn
    return turn.float()


def cross_matrix(vector: torch.Tensor) -> torch.Tensor:
    """The (3, 3) matrix whose product with x is vector x x."""
    x, y, z = vector.tolist()
    return torch.tensor([[0, -z, y], [z, 0, -x], [-y, x, 0]], dtype=vector.dtype)


def degrees(turn: torch.Tensor) -> float:
    """The angle of a rotation."""
    return float(torch.rad2deg(torch.arccos(((turn.trace() - 1) / 2).clamp(-1, 1))))


def face_camera(surface: torch.Tensor) -> bool:
    """Whether all normals have one sign along z, up to EDGEWISE: in camera space they do, since only what faces the
    camera is seen; in world space, rarely."""
    normals = surface[NORMAL]
    z = normals[2, normals.norm(dim=0) > LONG]
    return max(float((z > -EDGEWISE).float().mean()), float((z < EDGEWISE).float().mean())) > NEARLY_ALL


def turned_by(pairs: list[tuple[torch.Tensor, torch.Tensor]]) -> float:
    """By how many degrees the camera turns normals from frame to frame, from the normal_pairs of some frames.

    0 if no rotation explains the differences, as in world space.
    """
    turns, differences, rests = [], [], []
    for before, after in (pair for pair in pairs if len(pair[0]) >= FEWEST):
        turn = fit_turn(before, after)
        turns.append(degrees(turn))
        differences.append(float((after - before).norm(dim=1).mean()))
        rests.append(float((after @ turn.T - before).norm(dim=1).mean()))
    return sorted(turns)[len(turns) // 2] if turns and sum(rests) < CLEARLY * sum(differences) else 0.0
