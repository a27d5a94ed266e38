"""Camera paths through procedural rooms, as fast in the picture as is asked for.

Lengths are meters and y is up. The amplitude of a random shot (see shots.py), meters per step, is solved so that the
picture moves at a given speed, and rays check that the path keeps clear of everything.
Letters: F = PATH_FRAMES frames, N rays, H rows and W columns of a picture.
"""

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from rendering.cameras import Camera, detail, keeps_clear, motion
from rendering.shots import PATH_FRAMES, Shot, random_shot
from rooms.floor import Room

# from best to worst: (clearance, sight) of keeps_clear, and the least `detail` in view
CLEARANCES = ((0.2, 2.5, 0.25), (0.2, 1.5, 0.2), (0.1, 0.8, 0.1), (0.03, 0.1, 0.0))
CANDIDATES = (14, 12, 8, 6)  # shots tried at each clearance
OPEN = 1.0  # meters that at least half of the level rays from an eye go
STEEPEST = 0.95  # up or down part of a direction of view; beyond, a camera that turns would spin
TOLERANCE = 0.05  # of the picture's speed


def plan_path(
    room: Room, rng: np.random.Generator, cast: Callable, speed: float, size: tuple[int, int]
) -> list[Camera]:
    """PATH_FRAMES cameras through a room, pinholes, whose picture moves by `speed` pixels a frame (see picture_speed).

    cast: how far rays go, from origins (N, 3) and unit directions (N, 3) to (N,), inf for background.
    speed: from 0.1 to 20.
    size: (H, W) of the picture.
    The same for a generator in the same state.
    """
    return plan_shot(room, rng, cast, speed, size).cameras()


def plan_shot(room: Room, rng: np.random.Generator, cast: Callable, speed: float, size: tuple[int, int]) -> Shot:
    """The shot of plan_path: the first of some random ones that has this speed and keeps clear of everything.

    The clearance shrinks as more of them fail. Where all do, the camera pans at the clearest of the places tried.
    """
    tried = []
    for kept, candidates in zip(CLEARANCES, CANDIDATES, strict=True):
        for _ in range(candidates):
            tried.append(random_shot(room, rng))
            shot = fitted(tried[-1], room, cast, speed, size, kept)
            if shot:
                return shot
    return pan_from(max(tried, key=lambda shot: level_distances(cast, shot.eye).min()), speed, size)


def fitted(
    shot: Shot, room: Room, cast: Callable, speed: float, size: tuple[int, int], kept: tuple[float, float, float]
) -> Shot | None:
    """The shot at this speed, None where it cannot have it, leaves the room, or does not keep clear.

    kept: one of CLEARANCES; close shots need less sight.
    """
    clearance, sight, least = kept
    sight = min(sight, 0.4 * shot.distance) if shot.close else sight

    # the place itself, with few rays; inside furniture, keeps_clear would find a small room
    is_open = is_possible(shot, room) and np.median(level_distances(cast, shot.eye)) >= OPEN
    if not is_open or not keeps_clear(cast, shot.cameras()[:1], clearance, sight):
        return None
    if least and detail(cast, shot.cameras()[0]) < least:
        return None

    # roughly, with few rays; from a slow path, because a fast one may leave the room
    shot = replace(shot, amplitude=min(speed, 1.0) * shot.distance / focal_length(shot.fov, size[1]))
    shot = at_speed(shot, room, speed, lambda path: point_speeds(path, cast, size, 5, 4), 2 * TOLERANCE)
    if not shot or not keeps_clear(cast, shot.cameras()[::5], clearance, sight):
        return None

    # exactly
    shot = at_speed(shot, room, speed, lambda path: point_speeds(path, cast, size), TOLERANCE)
    return shot if shot and keeps_clear(cast, shot.cameras(), clearance, sight) else None


def at_speed(shot: Shot, room: Room, speed: float, measured: Callable, tolerance: float) -> Shot | None:
    """The shot with the amplitude that gives it this speed; None where it leaves the room, or none is found soon.

    None, too, where nearly half of the picture rests, as a sky does: the median then says little.
    measured: from a path to its point_speeds, nearly proportional to the amplitude.
    tolerance: of the speed, relative.
    """
    for _ in range(5):
        if not is_possible(shot, room):
            return None
        third, median = np.quantile(measured(shot.cameras()), (0.35, 0.5))
        ratio = speed / max(median, 1e-6)
        if abs(1 / ratio - 1) < tolerance:
            return shot if third > speed / 4 else None
        shot = replace(shot, amplitude=shot.amplitude * min(ratio, 30.0))
    return None


def is_possible(shot: Shot, room: Room) -> bool:
    """Whether all cameras of a shot are in the room, and none looks straight up or down."""
    width, height, depth = room.size
    path = shot.cameras()
    origins = np.array([camera.origin for camera in path])
    inside = (origins > (-width / 2, 0.1, -depth / 2)).all() and (origins < (width / 2, height, depth / 2)).all()
    return bool(inside and all(abs(camera.axes()[2, 1]) < STEEPEST for camera in path))


def level_distances(cast: Callable, eye: np.ndarray) -> np.ndarray:
    """(8,) how far rays go from the eye in level directions, all around."""
    angles = np.arange(8) * np.pi / 4
    return cast(np.broadcast_to(eye, (8, 3)), np.stack([np.sin(angles), 0 * angles, np.cos(angles)], -1))


def pan_from(shot: Shot, speed: float, size: tuple[int, int]) -> Shot:
    """A level, steady pan of this speed from the eye of a shot, which turns to both sides of its view."""
    # its shape
    flat, steps = shot.view * [1, 0, 1], np.arange(PATH_FRAMES) - (PATH_FRAMES - 1) / 2
    shot = replace(shot, sight=shot.eye + flat / np.linalg.norm(flat), move="pan", pace="steady", steps=steps)

    # its speed, for which it does not matter how far things are away
    shot = replace(shot, amplitude=speed / focal_length(shot.fov, size[1]))
    for _ in range(5):
        measured = picture_speed(shot.cameras(), lambda origins, _: np.full(len(origins), np.inf), size)
        shot = replace(shot, amplitude=shot.amplitude * speed / measured)
    return shot


def picture_speed(path: list[Camera], cast: Callable, size: tuple[int, int], *grid: int) -> float:
    """How fast the picture of a path moves: the median of point_speeds, whose arguments it takes; 0 where it rests."""
    speeds = point_speeds(path, cast, size, *grid)
    return float(np.median(speeds)) if len(speeds) else 0.0


def point_speeds(
    path: list[Camera], cast: Callable, size: tuple[int, int], columns: int = 8, frames: int = PATH_FRAMES // 2
) -> np.ndarray:
    """(N,) pixels a frame by which points of the pictures of a path move.

    cast: see plan_path.
    size: (H, W) of the picture.
    columns: of a grid of points, whose rows are as far apart.
    frames: about how many are looked at; those in which the camera rests do not count.
    """
    moving = [n for n in range(1, len(path)) if path[n] != path[n - 1]]
    grid = (max(1, round(columns * size[0] / size[1])), columns)
    speeds = []
    for n in moving[:: max(1, round(len(moving) / frames))]:
        # what this frame shows
        rays = path[n].directions(grid)  # (rows, columns, 3)
        rays /= np.linalg.norm(rays, axis=-1, keepdims=True)
        origins = np.broadcast_to(path[n].origin, rays.shape)
        distances = cast(origins.reshape(-1, 3), rays.reshape(-1, 3)).reshape(grid)
        hit = np.isfinite(distances)
        position = origins + np.where(hit, distances, 0)[..., None] * rays

        # where the frame before showed it
        moved = motion(position, hit, path[n], path[n - 1]) * size[1] / columns
        speeds.extend(np.linalg.norm(moved, axis=-1).ravel())
    return np.array(speeds)


def with_lens(path: list[Camera], cast: Callable, blur: float, width: int) -> list[Camera]:
    """The path with a thin lens, focused at the center of its first picture, or at its target where that is background.

    blur: diameter of the circle of confusion of points at infinity, in pixels of a picture of this width. By similar
        triangles, a lens of radius r focused at s shows them as wide as 2 r at the distance s.
    cast: see plan_path.
    """
    origin, target = np.array(path[0].origin), np.array(path[0].target)
    focus = float(cast(origin[None], path[0].axes()[2:])[0])
    focus = focus if np.isfinite(focus) else float(np.linalg.norm(target - origin))
    return [replace(c, aperture=blur * focus / (2 * focal_length(c.fov, width)), focus=focus) for c in path]


def focal_length(fov: float, width: int) -> float:
    """In pixels of a picture of this width; fov: degrees, horizontal."""
    return float(width / 2 / np.tan(np.radians(fov) / 2))
