"""What moves or changes by itself in a loaded scene: its meshes and lights at any time, and where surfaces were before.

Letters: H rows, W columns, N vertices, M faces. Times are in frames (see rooms/moving.py).
"""

from dataclasses import dataclass

import drjit
import mitsuba as mi
import numpy as np

from rooms.moving import Flicker, Movement

# of emitters, as Mitsuba names them
POWERS = ("radiance.value", "radiance.data", "irradiance.value", "intensity.value", "scale")
DIMMEST = 1e-3  # of a light, relative to its power: Mitsuba cannot draw samples from a picture of zeros


@dataclass(frozen=True)
class Mover:
    """A mesh that moves. name: of its shape; vertices, normals: (N, 3) at rest, in world space; faces: (M, 3)."""

    name: str
    movement: Movement
    vertices: np.ndarray
    normals: np.ndarray
    faces: np.ndarray


class Animation:
    """The moving meshes and changing lights of a scene; it holds the scene's parameters. A static scene has none."""

    def __init__(self, scene, movements: dict[str, Movement], flickers: dict[str, Flicker]):
        """movements: by the name of the shape; flickers: by the name of the emitter."""
        self.movers: dict[int, Mover] = {}  # by the number that Mitsuba's `shape_index` gives the shape
        self.lights: list[tuple[str, Flicker, object]] = []  # parameter, flicker, value at rest
        self.time: float | None = None
        if not movements and not flickers:
            return

        # meshes at rest
        self.parameters = mi.traverse(scene)
        for index, shape in enumerate(scene.shapes()):
            name = shape.id()
            if name in movements:
                parts = ("vertex_positions", "vertex_normals", "faces")
                arrays = [np.array(self.parameters[f"{name}.{part}"]).reshape(-1, 3) for part in parts]
                self.movers[shape_number(shape, index)] = Mover(name, movements[name], *arrays)

        # lights at rest
        for name, flicker in flickers.items():
            own = [f"{name}.{power}" for power in POWERS if f"{name}.{power}" in self.parameters]
            if own:  # a picture that several lamps share is named after the first of them only
                value = self.parameters[own[0]]
                self.lights.append((own[0], flicker, type(value)(value)))

    def show(self, time: float, frame: int) -> None:
        """Puts the scene's meshes where they are at `time`, and its lights to what they are in `frame`."""
        if self.time == time or not (self.movers or self.lights):
            return
        placed = {mover.name: mover.movement.at(mover.vertices, mover.normals, time) for mover in self.movers.values()}
        for power, flicker, value in self.lights:
            self.parameters[power] = value * max(flicker.factor(frame), DIMMEST)
        self._set({f"{name}.vertex_positions": vertices for name, (vertices, _) in placed.items()})
        # afterwards, since Mitsuba makes new normals for new positions
        self._set({f"{name}.vertex_normals": normals for name, (_, normals) in placed.items()})
        self.time = time

    def _set(self, values: dict[str, np.ndarray]) -> None:
        for name, value in values.items():
            self.parameters[name] = type(self.parameters[name])(value.astype(np.float32).ravel())
        self.parameters.update()

    def before(self, shape: np.ndarray, face: np.ndarray, position: np.ndarray, time: float) -> np.ndarray:
        """Where surface points that are seen at `time` were one frame earlier, (H, W, 3).

        shape, face: (H, W), their numbers in Mitsuba and in the mesh.
        position: (H, W, 3) world points.
        """
        result = position.copy()
        for number, mover in self.movers.items():
            seen = shape == number
            corners = mover.faces[face[seen].astype(int)]  # (K, 3) of K points on this mesh
            now, was = (mover.movement.at(mover.vertices, mover.normals, t)[0][corners] for t in (time, time - 1))
            result[seen] = np.einsum("kc,kcd->kd", barycentric(now, position[seen]), was)
        return result


def shape_number(shape, index: int) -> int:
    """The number that `shape_index` gives a shape: counted from 1, in LLVM and CUDA over all loaded scenes."""
    if mi.variant().startswith("scalar"):
        return index + 1
    return int(drjit.reinterpret_array(mi.UInt32, mi.ShapePtr(shape))[0])


def barycentric(triangles: np.ndarray, points: np.ndarray) -> np.ndarray:
    """The barycentric coordinates (K, 3) of points (K, 3) in the planes of triangles (K, 3, 3)."""
    a, b, c = triangles[:, 0], triangles[:, 1], triangles[:, 2]
    normal = np.cross(b - a, c - a)
    area = np.maximum((normal * normal).sum(-1), 1e-30)
    of_b = (np.cross(points - a, c - a) * normal).sum(-1) / area
    of_c = (np.cross(b - a, points - a) * normal).sum(-1) / area
    return np.stack([1 - of_b - of_c, of_b, of_c], -1)
