"""Cameras, their paths, and the motion of what they see.

World space is right-handed, in scene units. Pictures have x to the right and y down; pixel (0, 0) spans [0, 1) in both.
Letters: H rows, W columns, N points or rays.
"""

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from itertools import product
from pathlib import Path

import numpy as np

from files import InputError
from rooms.curves import catmull_rom

MOTION_LIMIT = 4096.0  # pixels; points behind the previous camera have no finite motion


@dataclass(frozen=True)
class Camera:
    """A camera at `origin` that looks at `target`; fov: horizontal, in degrees.

    aperture: radius of its thin lens in scene units, 0 for a pinhole; focus: distance of the plane in focus, along the
    view axis.
    """

    origin: tuple[float, float, float]
    target: tuple[float, float, float]
    up: tuple[float, float, float] = (0.0, 1.0, 0.0)
    fov: float = 60.0
    aperture: float = 0.0
    focus: float = 1.0

    def axes(self) -> np.ndarray:
        """World directions of the picture's right, the picture's down and forward: the rows of a (3, 3) matrix."""
        forward = np.subtract(self.target, self.origin)
        forward = forward / np.linalg.norm(forward)
        right = np.cross(forward, self.up)
        right = right / np.linalg.norm(right)
        return np.stack([right, np.cross(forward, right), forward])

    def project(self, points: np.ndarray, size: tuple[int, int]) -> np.ndarray:
        """The pixels (..., 2), x and y in a (H, W) picture, of homogeneous world points (..., 4).

        A last entry of 0 makes a point a direction. Points behind the camera come out far outside the picture.
        """
        height, width = size
        local = (points[..., :3] - points[..., 3:] * np.asarray(self.origin)) @ self.axes().T
        focal = width / 2 / np.tan(np.radians(self.fov) / 2)
        scale = focal / np.maximum(local[..., 2:], 1e-9)
        return local[..., :2] * scale + np.array([width / 2, height / 2])

    def directions(self, size: tuple[int, int]) -> np.ndarray:
        """World directions (H, W, 3) through the pixel centers of a (H, W) picture; not of unit length."""
        height, width = size
        focal = width / 2 / np.tan(np.radians(self.fov) / 2)
        y, x = np.mgrid[:height, :width] + 0.5
        local = np.stack([(x - width / 2) / focal, (y - height / 2) / focal, np.ones_like(x)], -1)
        return local @ self.axes()


def motion(
    position: np.ndarray, hit: np.ndarray, camera: Camera, before: Camera, previous: np.ndarray | None = None
) -> np.ndarray:
    """(H, W, 2) pixels from where `camera` sees a surface point to where the previous camera, `before`, saw it.

    position: (H, W, 3) world points.
    hit: (H, W), whether there is one. Background is at infinity and moves only as the camera turns.
    previous: (H, W, 3), where these points of the surfaces were in the previous frame, None if nothing moves by itself.
    The result is clamped to MOTION_LIMIT.
    """
    size = hit.shape
    directions = camera.directions(size)

    def homogeneous(points: np.ndarray) -> np.ndarray:
        return np.concatenate([np.where(hit[..., None], points, directions), hit[..., None]], -1)  # (H, W, 4)

    seen = camera.project(homogeneous(position), size)
    moved = before.project(homogeneous(position if previous is None else previous), size) - seen
    return np.clip(moved, -MOTION_LIMIT, MOTION_LIMIT)


def read_key_frames(path: Path) -> list[Camera]:
    """The key frames of a camera file: `{"keyframes": [{"origin", "target", "up", "fov"}, ...]}` or just the list.

    `up` defaults to +y. Raises InputError naming the file, the key frame and what is wrong with it.
    """
    try:
        content = json.loads(Path(path).read_text())
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"{path}: not a readable JSON file ({error}); write it as in docs/rendering.md") from error
    frames = content.get("keyframes") if isinstance(content, dict) else content
    if not isinstance(frames, list) or not frames:
        raise InputError(f'{path}: no key frames; expected {{"keyframes": [{{"origin", "target", "up", "fov"}}, ...]}}')
    return [key_frame(frame, f"{path}: key frame {number}") for number, frame in enumerate(frames)]


def key_frame(values: dict, label: str) -> Camera:
    """One key frame of a camera file; label: what messages call it. Raises InputError where it is none."""
    if not isinstance(values, dict) or not {"origin", "target", "fov"} <= values.keys():
        raise InputError(f"{label}: expected origin, target, up and fov, found {values}")

    # vectors
    vectors = {}
    for name in ("origin", "target", "up"):
        try:
            vector = tuple(_number(v) for v in values.get(name, (0, 1, 0)))
        except (TypeError, ValueError, OverflowError) as error:
            raise InputError(f"{label}: {name} must be three numbers, found {values[name]!r}") from error
        if len(vector) != 3 or not np.isfinite(vector).all():
            raise InputError(f"{label}: {name} must be three finite numbers, found {values[name]!r}")
        vectors[name] = vector

    # numbers
    if not isinstance(values["fov"], int | float) or values["fov"] is True or not 0 < values["fov"] < 180:
        raise InputError(f"{label}: fov must be degrees between 0 and 180, found {values['fov']!r}")
    if np.linalg.norm(np.cross(np.subtract(vectors["target"], vectors["origin"]), vectors["up"])) < 1e-9:
        raise InputError(
            f"{label}: origin, target and up are on one line, so the camera has no direction; move one of them"
        )
    try:
        aperture, focus = _number(values.get("aperture", 0.0)), _number(values.get("focus", 1.0))
    except TypeError as error:
        raise InputError(f"{label}: aperture and focus must be numbers, found {error}") from error
    if not (0 <= aperture < np.inf and 0 < focus < np.inf):
        raise InputError(f"{label}: aperture must be 0 or more and focus above 0, found {aperture} and {focus}")
    return Camera(**vectors, fov=float(values["fov"]), aperture=aperture, focus=focus)


def _number(value: object) -> float:
    """A number of a JSON file. Raises TypeError for anything else, even text that reads like one."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(f"{value!r} is no number")
    return float(value)


def along(keys: list[Camera], frames: int, speed: float, start: float = 0.0) -> list[Camera]:
    """`frames` cameras on a smooth curve through the key frames; speed: key frames per frame.

    start: the number of the key frame to begin at. After the last one the camera goes back.
    """
    if len(keys) == 1:
        return keys * frames
    last = len(keys) - 1
    at = last - np.abs((start + np.arange(frames) * speed) % (2 * last) - last)
    return [from_numbers(values) for values in catmull_rom(np.array([as_numbers(key) for key in keys]), at).tolist()]


def between(first: Camera, second: Camera, at: float) -> Camera:
    """The camera on the way from `first` (at = 0) to `second` (at = 1), or beyond them on a straight line."""
    start, end = np.array(as_numbers(first)), np.array(as_numbers(second))
    return from_numbers((start + at * (end - start)).tolist())


def as_numbers(camera: Camera) -> list[float]:
    """The camera's 12 numbers, in the order of its fields."""
    return [*camera.origin, *camera.target, *camera.up, camera.fov, camera.aperture, camera.focus]


def from_numbers(values: list[float]) -> Camera:
    """The camera of 12 numbers, limited to what a camera can have: interpolation may overshoot."""
    lens = max(values[10], 0.0), max(values[11], 1e-9)
    return Camera(tuple(values[:3]), tuple(values[3:6]), tuple(values[6:9]), min(max(values[9], 1.0), 179.0), *lens)


def around(camera: Camera, radius: float, frames: int, speed: float) -> list[Camera]:
    """A slow loop of this radius around the camera, looking at its target; a turn takes 240 / speed frames."""
    right, down, _ = camera.axes()
    cameras = []
    for frame in range(frames):
        angle = 2 * np.pi * frame * speed / 240
        origin = camera.origin + radius * (np.sin(angle) * right + 0.4 * np.sin(2 * angle) * down)
        cameras.append(replace(camera, origin=tuple(float(v) for v in origin)))
    return cameras


def as_json(camera: Camera) -> dict:
    """The camera as a key frame of a camera file; a pinhole has neither aperture nor focus."""
    values = {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(camera).items()}
    return values if camera.aperture else {name: values[name] for name in ("origin", "target", "up", "fov")}


def keeps_clear(distances: Callable, path: list[Camera], clearance: float, sight: float) -> bool:
    """Whether a path keeps `clearance` from everything, runs into nothing, and shows no close-up.

    sight: how far at least half of a grid of 3x3 rays through the picture must go.
    distances: how far rays go, from origins (N, 3) and unit directions (N, 3) to (N,), inf for background.
    Checks about 32 cameras of the path.
    """
    # the 26 directions to the neighbors in a grid of cubes
    sphere = np.array([d for d in product((-1, 0, 1), repeat=3) if any(d)], float)
    sphere /= np.linalg.norm(sphere, axis=1, keepdims=True)

    checked = path[:: max(1, len(path) // 32)]
    for camera, following in zip(checked, [*checked[1:], None], strict=True):
        # what is in view and what is near
        origin = np.array(camera.origin)
        view = camera.directions((3, 3)).reshape(-1, 3)
        view /= np.linalg.norm(view, axis=1, keepdims=True)
        found = distances(np.broadcast_to(origin, (35, 3)), np.concatenate([view, sphere]))
        if np.median(found[:9]) < sight or found[9:].min() < clearance:
            return False

        # what is on the way to the next camera
        step = np.subtract(following.origin, origin) if following else np.zeros(3)
        length = np.linalg.norm(step)
        if length > 1e-9 and distances(origin[None], step[None] / length)[0] < length:
            return False
    return True


def detail(distances: Callable, camera: Camera) -> float:
    """How much there is to see: the share, in [0, 1], of a grid of 12x9 rays between which depth breaks off or bends.

    Along a plane the reciprocal of depth is a linear function of the place in the picture; walls are planes, and bare
    walls teach nothing. distances: see keeps_clear.
    """
    rays = camera.directions((9, 12))
    length = np.linalg.norm(rays, axis=-1)  # of rays that advance by 1 along the view axis
    found = distances(np.broadcast_to(camera.origin, (108, 3)), (rays / length[..., None]).reshape(-1, 3))
    near = length / found.reshape(9, 12)  # reciprocal depth; 0 for background
    bends = []
    for a, b, c in ((near[:, :-2], near[:, 1:-1], near[:, 2:]), (near[:-2], near[1:-1], near[2:])):
        bends.append(np.abs(a - 2 * b + c) > 0.1 * np.maximum(np.maximum(a, b), np.maximum(c, 1e-9)))
    return float(np.concatenate([bend.ravel() for bend in bends]).mean())
