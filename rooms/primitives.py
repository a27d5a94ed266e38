"""What furniture, walls and lamps are built from: boxes, balls, rods, discs and meshes.

A shape is a scene dictionary (see rooms/__init__.py): type, `to_world` matrix, material under `bsdf`, and `emitter` if
it is a lamp.
"""

from dataclasses import dataclass

import numpy as np

from rooms.meshes import Mesh, revolve, tube

Shape = dict


@dataclass(frozen=True)
class Item:
    """A thing that stands on the floor (y = 0) around the origin and faces +z.

    size: the floor it takes, (width in x, depth in z), in meters. top: the height of its top, None where nothing can
    be put on it.
    """

    shapes: list[Shape]
    size: tuple[float, float]
    top: float | None = None


def moved(shapes: list[Shape], offset=(0.0, 0.0, 0.0), turn: float = 0.0) -> list[Shape]:
    """The shapes, turned around y by `turn` radians, then moved by `offset` (3,)."""
    matrix = np.eye(4)
    matrix[:3, :3] = [[np.cos(turn), 0, np.sin(turn)], [0, 1, 0], [-np.sin(turn), 0, np.cos(turn)]]
    matrix[:3, 3] = offset
    return [shape | {"to_world": matrix @ shape["to_world"]} for shape in shapes]


def box(low, high, bsdf: dict, **more) -> Shape:
    """A block between two corners (3,); more: further entries of the shape, such as `emitter`."""
    low, high = np.array(low, float), np.array(high, float)
    matrix = np.diag([*(high - low) / 2, 1.0])
    matrix[:3, 3] = (low + high) / 2
    return {"type": "cube", "to_world": matrix, "bsdf": bsdf, **more}


def ball(center, radius: float, bsdf: dict, **more) -> Shape:
    """A sphere around `center` (3,); more: further entries of the shape."""
    matrix = np.diag([radius, radius, radius, 1.0])
    matrix[:3, 3] = center
    return {"type": "sphere", "to_world": matrix, "bsdf": bsdf, **more}


def body(mesh: Mesh, bsdf: dict, at=(0.0, 0.0, 0.0), **more) -> Shape:
    """A mesh, moved by `at` (3,); more: further entries of the shape."""
    matrix = np.eye(4)
    matrix[:3, 3] = at
    return {"type": "ply", "mesh": mesh, "to_world": matrix, "bsdf": bsdf, **more}


def rod(start, end, radius: float, bsdf: dict, **more) -> Shape:
    """A thin round bar between two points (3,); more: further entries of the shape."""
    return body(tube(np.linspace(start, end, 3), radius), bsdf, **more)


def disc(height: float, thickness: float, radius: float, bsdf: dict) -> Shape:
    """A flat round slab around the y axis; height: of its lower side."""
    profile = [[1e-4, 0], [radius, 0], [radius, thickness], [1e-4, thickness]]
    outline = np.repeat(profile, [1, 2, 2, 1], 0)  # corners twice, which keeps the edges sharp
    return body(revolve(outline, 48), bsdf, (0, height, 0), face_normals=True)
