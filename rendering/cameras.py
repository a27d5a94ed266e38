"""Cameras, their paths, and the motion of what they see. World space is right-handed, lengths are the scene's.

Pictures have x to the right and y down; pixel (0, 0) spans [0, 1) both ways.
"""

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from itertools import product
from pathlib import Path

import numpy as np

from files import InputError
from rooms.curves import catmull_rom

MOTION_LIMIT = 4096.0  # pixels; what goes behind the other camera has no finite answer


@dataclass(frozen=True)
class Camera:
    """A pinhole camera at `origin` that looks at `target`; fov: horizontal field of view in degrees."""

    origin: tuple[float, float, float]
    target: tuple[float, float, float]
    up: tuple[float, float, float] = (0.0, 1.0, 0.0)
    fov: float = 60.0

    def axes(self) -> np.ndarray:
        """(3, 3): the world directions of picture right, picture down and forward, in rows."""
        forward = np.subtract(self.target, self.origin)
        forward = forward / np.linalg.norm(forward)
        right = np.cross(forward, self.up)
        right = right / np.linalg.norm(right)
        return np.stack([right, np.cross(forward, right), forward])

    def project(self, points: np.ndarray, size: tuple[int, int]) -> np.ndarray:
        """Homogeneous world points (..., 4), directions if their last entry is 0, to pixels (x, y) of a (H, W) picture.

        Points behind the camera come out far outside.
        """
        height, width = size
        local = (points[..., :3] - points[..., 3:] * np.asarray(self.origin)) @ self.axes().T
        focal = width / 2 / np.tan(np.radians(self.fov) / 2)
        scale = focal / np.maximum(local[..., 2:], 1e-9)
        return local[..., :2] * scale + np.array([width / 2, height / 2])

    def directions(self, size: tuple[int, int]) -> np.ndarray:
        """World directions through the pixel centres of a (H, W) picture, (H, W, 3), not of unit length."""
        height, width = size
        focal = width / 2 / np.tan(np.radians(self.fov) / 2)
        y, x = np.mgrid[:height, :width] + 0.5
        local = np.stack([(x - width / 2) / focal, (y - height / 2) / focal, np.ones_like(x)], -1)
        return local @ self.axes()


def motion(position: np.ndarray, hit: np.ndarray, camera: Camera, before: Camera) -> np.ndarray:
    """Where the surface points that `camera` sees were, `before`, less where they are: (H, W, 2) pixels.

    position: (H, W, 3) world, valid where hit, (H, W). Where nothing is hit, the point is at infinity: it moves as
    the camera turns. Clamped to MOTION_LIMIT.
    """
    size = hit.shape
    directions = camera.directions(size)
    points = np.concatenate([np.where(hit[..., None], position, directions), hit[..., None]], -1)
    moved = before.project(points, size) - camera.project(points, size)
    return np.clip(moved, -MOTION_LIMIT, MOTION_LIMIT)


def read_key_frames(path: Path) -> list[Camera]:
    """The key frames of a camera file: `{"keyframes": [{"origin", "target", "up", "fov"}, ...]}` or the bare list.

    `up` may be missing (+y). Raises InputError naming the file, the key frame and what is wrong with it.
    """
    try:
        content = json.loads(Path(path).read_text())
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: not a readable JSON file ({error})") from error
    frames = content.get("keyframes") if isinstance(content, dict) else content
    if not isinstance(frames, list) or not frames:
        raise InputError(f'{path}: no key frames; expected {{"keyframes": [{{"origin", "target", "up", "fov"}}, ...]}}')
    return [_key_frame(frame, f"{path}: key frame {number}") for number, frame in enumerate(frames)]


def _key_frame(values: dict, label: str) -> Camera:
    """One checked key frame; label: for messages."""
    if not isinstance(values, dict) or not {"origin", "target", "fov"} <= values.keys():
        raise InputError(f"{label}: expected origin, target, up and fov, found {values}")
    vectors = {}
    for name in ("origin", "target", "up"):
        try:
            vector = tuple(float(v) for v in values.get(name, (0, 1, 0)))
        except (TypeError, ValueError) as error:
            raise InputError(f"{label}: {name} must be three numbers, found {values[name]!r}") from error
        if len(vector) != 3 or not np.isfinite(vector).all():
            raise InputError(f"{label}: {name} must be three finite numbers, found {values[name]!r}")
        vectors[name] = vector
    if not isinstance(values["fov"], (int, float)) or not 0 < values["fov"] < 180:
        raise InputError(f"{label}: fov must be degrees between 0 and 180, found {values['fov']!r}")
    if np.linalg.norm(np.cross(np.subtract(vectors["target"], vectors["origin"]), vectors["up"])) < 1e-9:
        raise InputError(f"{label}: origin, target and up are on one line, so the camera has no direction")
    return Camera(**vectors, fov=float(values["fov"]))


def along(keys: list[Camera], frames: int, speed: float, start: float = 0.0) -> list[Camera]:
    """`frames` cameras along the key frames, `speed` of them per frame, on a smooth curve through them.

    start: the number of the key frame to begin at. At the last one the camera turns back: it never stands still.
    """
    if len(keys) == 1:
        return keys * frames
    last = len(keys) - 1
    at = last - np.abs((start + np.arange(frames) * speed) % (2 * last) - last)
    values = catmull_rom(np.array([[*k.origin, *k.target, *k.up, k.fov] for k in keys]), at).tolist()
    return [Camera(tuple(v[:3]), tuple(v[3:6]), tuple(v[6:9]), min(max(v[9], 1.0), 179.0)) for v in values]


def around(camera: Camera, radius: float, frames: int, speed: float) -> list[Camera]:
    """A slow loop of this radius about the camera's place, looking at its target; a turn takes 240 / speed frames."""
    right, down, _ = camera.axes()
    cameras = []
    for frame in range(frames):
        angle = 2 * np.pi * frame * speed / 240
        origin = camera.origin + radius * (np.sin(angle) * right + 0.4 * np.sin(2 * angle) * down)
        cameras.append(Camera(tuple(float(v) for v in origin), camera.target, camera.up, camera.fov))
    return cameras


def as_json(camera: Camera) -> dict:
    """The camera as a key frame of a camera file."""
    return {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(camera).items()}


def keeps_clear(distances: Callable, path: list[Camera], clearance: float, sight: float) -> bool:
    """Whether nothing is within `clearance` of any camera, nor on its way, and its picture is no close-up.

    sight: how far half of a grid of 3x3 rays through the picture must go. distances: how far rays go, from origins
    (N, 3) and unit directions (N, 3) to (N,), inf where nothing is hit. Some 32 cameras of the path are looked at.
    """
    around_it = np.array([d for d in product((-1, 0, 1), repeat=3) if any(d)], float)
    around_it /= np.linalg.norm(around_it, axis=1, keepdims=True)
    places = path[:: max(1, len(path) // 32)]
    for camera, following in zip(places, [*places[1:], None], strict=True):
        origin = np.array(camera.origin)
        view = camera.directions((3, 3)).reshape(-1, 3)
        view /= np.linalg.norm(view, axis=1, keepdims=True)
        found = distances(np.broadcast_to(origin, (35, 3)), np.concatenate([view, around_it]))
        if np.median(found[:9]) < sight or found[9:].min() < clearance:
            return False
        step = np.subtract(following.origin, origin) if following else np.zeros(3)
        length = np.linalg.norm(step)
        if length > 1e-9 and distances(origin[None], step[None] / length)[0] < length:
            return False
    return True
