"""Cameras, their paths, and the motion of what they see.

World space is right-handed, in scene units. Pictures have x to the right and y down; pixel (0, 0) spans [0, 1) in both.
Letters: H rows, W columns, N points or rays.
"""

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from itertools import product
from pathlib import Path

import numpy as np

from files import InputError
from rooms.curves import catmull_rom

MOTION_LIMIT = 4096.0  # pixels; points behind the previous camera have no finite motion


@dataclass(frozen=True)
class Camera:
    """A pinhole camera at `origin` that looks at `target`; fov: horizontal, in degrees."""

    origin: tuple[float, float, float]
    target: tuple[float, float, float]
    up: tuple[float, float, float] = (0.0, 1.0, 0.0)
    fov: float = 60.0

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
        """World directions (H, W, 3) through the pixel centres of a (H, W) picture; not of unit length."""
        height, width = size
        focal = width / 2 / np.tan(np.radians(self.fov) / 2)
        y, x = np.mgrid[:height, :width] + 0.5
        local = np.stack([(x - width / 2) / focal, (y - height / 2) / focal, np.ones_like(x)], -1)
        return local @ self.axes()


def motion(position: np.ndarray, hit: np.ndarray, camera: Camera, before: Camera) -> np.ndarray:
    """(H, W, 2) pixels from where `camera` sees a surface point to where the previous camera, `before`, saw it.

    position: (H, W, 3) world points; hit: (H, W), whether there is one. Where nothing is hit, the point is at infinity
    and moves only as the camera turns. Clamped to MOTION_LIMIT.
    """
    size = hit.shape
    directions = camera.directions(size)
    points = np.concatenate([np.where(hit[..., None], position, directions), hit[..., None]], -1)  # (H, W, 4)
    moved = before.project(points, size) - camera.project(points, size)
    return np.clip(moved, -MOTION_LIMIT, MOTION_LIMIT)


def read_key_frames(path: Path) -> list[Camera]:
    """The key frames of a camera file: `{"keyframes": [{"origin", "target", "up", "fov"}, ...]}` or just the list.

    `up` defaults to +y. Raises InputError naming the file, the key frame and what is wrong with it.
    """
    try:
        content = json.loads(Path(path).read_text())
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"{path}: not a readable JSON file ({error})") from error
    frames = content.get("keyframes") if isinstance(content, dict) else content
    if not isinstance(frames, list) or not frames:
        raise InputError(f'{path}: no key frames; expected {{"keyframes": [{{"origin", "target", "up", "fov"}}, ...]}}')
    return [key_frame(frame, f"{path}: key frame {number}") for number, frame in enumerate(frames)]


def key_frame(values: dict, label: str) -> Camera:
    """One key frame of a camera file; label: what messages call it. Raises InputError where it is none."""
    if not isinstance(values, dict) or not {"origin", "target", "fov"} <= values.keys():
        raise InputError(f"{label}: expected origin, target, up and fov, found {values}")
    vectors = {}
    for name in ("origin", "target", "up"):
        try:
            vector = tuple(_number(v) for v in values.get(name, (0, 1, 0)))
        except (TypeError, ValueError, OverflowError) as error:
            raise InputError(f"{label}: {name} must be three numbers, found {values[name]!r}") from error
        if len(vector) != 3 or not np.isfinite(vector).all():
            raise InputError(f"{label}: {name} must be three finite numbers, found {values[name]!r}")
        vectors[name] = vector
    if not isinstance(values["fov"], int | float) or values["fov"] is True or not 0 < values["fov"] < 180:
        raise InputError(f"{label}: fov must be degrees between 0 and 180, found {values['fov']!r}")
    if np.linalg.norm(np.cross(np.subtract(vectors["target"], vectors["origin"]), vectors["up"])) < 1e-9:
        raise InputError(f"{label}: origin, target and up are on one line, so the camera has no direction")
    return Camera(**vectors, fov=float(values["fov"]))


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
    values = catmull_rom(np.array([[*k.origin, *k.target, *k.up, k.fov] for k in keys]), at).tolist()  # (frames, 10)
    return [Camera(tuple(v[:3]), tuple(v[3:6]), tuple(v[6:9]), min(max(v[9], 1.0), 179.0)) for v in values]


def around(camera: Camera, radius: float, frames: int, speed: float) -> list[Camera]:
    """A slow loop of this radius around the camera, looking at its target; a turn takes 240 / speed frames."""
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
    """Whether a path keeps `clearance` from everything, runs into nothing, and shows no close-up.

    sight: how far at least half of a grid of 3x3 rays through the picture must go. distances: how far rays go, from
    origins (N, 3) and unit directions (N, 3) to (N,), inf where nothing is hit. Checks about 32 cameras of the path.
    """
    # the 26 directions to the neighbours in a grid of cubes
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
