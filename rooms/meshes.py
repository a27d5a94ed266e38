"""Triangle meshes for procedural rooms: surfaces of revolution, tubes, blobs, cloth, leaves.

Vertices are (N, 3) float32 in meters, faces (M, 3) uint32, counter-clockwise seen from outside, uv (N, 2) in [0, 1].
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from rooms.curves import catmull_rom


@dataclass(frozen=True)
class Mesh:
    """A triangle mesh: vertices (N, 3) float32, faces (M, 3) uint32, uv (N, 2) float32."""

    vertices: np.ndarray
    faces: np.ndarray
    uv: np.ndarray


def vertex_normals(mesh: Mesh) -> np.ndarray:
    """Unit shading normals (N, 3): the mean over the faces around a vertex, weighted by area; +y if they have no area.

    Renderers can compute their own, but those are NaN where all faces are degenerate, as at the poles of a blob.
    """
    a, b, c = (mesh.vertices[mesh.faces[:, i]].astype(np.float64) for i in range(3))
    normals = np.zeros(mesh.vertices.shape)
    for i in range(3):
        np.add.at(normals, mesh.faces[:, i], np.cross(b - a, c - a))
    length = np.linalg.norm(normals, axis=1, keepdims=True)
    return np.where(length > 1e-14, normals / np.maximum(length, 1e-14), [0.0, 1.0, 0.0]).astype(np.float32)


def lattice(points: np.ndarray, closed: bool = False) -> Mesh:
    """A mesh of two triangles for each cell of a lattice of points (rows, columns, 3).

    closed: join the last column to the first. The first is repeated for that, since uv jumps there from 1 to 0.
    """
    # points
    if closed:
        points = np.concatenate([points, points[:, :1]], 1)  # (rows, columns + 1, 3)
    rows, columns = points.shape[:2]

    # faces
    index = np.arange(rows * columns).reshape(rows, columns)
    a, b, c, d = (i.ravel() for i in (index[:-1, :-1], index[:-1, 1:], index[1:, 1:], index[1:, :-1]))
    faces = np.concatenate([np.stack([a, b, c], 1), np.stack([a, c, d], 1)])  # (M, 3)

    # uv
    v, u = np.meshgrid(np.linspace(0, 1, rows), np.linspace(0, 1, columns), indexing="ij")
    uv = np.stack([u.ravel(), v.ravel()], 1)  # (N, 2)
    return Mesh(points.reshape(-1, 3).astype(np.float32), faces.astype(np.uint32), uv.astype(np.float32))


def join(meshes: list[Mesh]) -> Mesh:
    """Several meshes as one."""
    starts = np.cumsum([0] + [len(m.vertices) for m in meshes[:-1]])
    faces = np.concatenate([m.faces + start for m, start in zip(meshes, starts, strict=True)])
    return Mesh(
        np.concatenate([m.vertices for m in meshes]), faces.astype(np.uint32), np.concatenate([m.uv for m in meshes])
    )


def revolve(profile: np.ndarray, segments: int = 40) -> Mesh:
    """A surface of revolution around the y axis; profile: (N, 2), radius and height of points, bottom first."""
    angle = np.linspace(0, 2 * np.pi, segments, endpoint=False)
    radius, height = profile[:, :1], profile[:, 1:]
    ring = np.broadcast_to(height, (len(profile), segments))
    return lattice(np.stack([radius * np.cos(angle), ring, -radius * np.sin(angle)], -1), closed=True)


def vase(rng: np.random.Generator, height: float, radius: float, wall: float = 0.0) -> Mesh:
    """A vessel of random outline; wall: its thickness, for a hollow vessel that works in glass; 0: solid."""
    # outline
    stations = np.linspace(0, height, int(rng.integers(4, 7)))
    stations = np.stack([radius * rng.uniform(0.35, 1, len(stations)), stations], 1)
    outer = catmull_rom(stations, np.linspace(0, len(stations) - 1, 24))
    outer[:, 0] = np.maximum(outer[:, 0], 0.2 * radius)

    # solid or hollow
    if wall == 0:
        return revolve(np.concatenate([[[1e-4, 0]], outer, [[1e-4, height]]]))
    inner = np.maximum(outer[::-1] - [wall, 0], [0.2 * wall, wall])
    return revolve(np.concatenate([[[1e-4, 0]], outer, inner, [[1e-4, wall]]]))


def lampshade(height: float, bottom: float, top: float) -> Mesh:
    """An open truncated cone around the y axis, for a two-sided material; bottom, top: radii."""
    return revolve(np.array([[bottom, 0], [(bottom + top) / 2, height / 2], [top, height]]))


def tube(path: np.ndarray, radius: float, segments: int = 10) -> Mesh:
    """A pipe along a path (N, 3), open at both ends."""
    # two directions across the path
    tangent = np.gradient(path, axis=0)
    tangent /= np.linalg.norm(tangent, axis=1, keepdims=True) + 1e-12
    helper = np.eye(3)[np.abs(tangent).mean(0).argmin()]
    side = np.cross(tangent, helper)
    side /= np.linalg.norm(side, axis=1, keepdims=True) + 1e-12
    other = np.cross(tangent, side)  # (N, 3)

    # a circle at each point
    angle = np.linspace(0, 2 * np.pi, segments, endpoint=False)[None, :, None]
    return lattice(path[:, None] + radius * (np.cos(angle) * side[:, None] + np.sin(angle) * other[:, None]), True)


def knot(rng: np.random.Generator, size: float) -> Mesh:
    """A torus knot; size: its outer radius."""
    p, q = [(2, 3), (3, 2), (2, 5), (3, 4)][rng.integers(4)]
    t = np.linspace(0, 2 * np.pi, 160)
    ring = 2 + np.cos(q * t)
    path = size / 3 * np.stack([ring * np.cos(p * t), np.sin(q * t), ring * np.sin(p * t)], 1)
    return tube(path, size * rng.uniform(0.05, 0.14), 14)


def blob(rng: np.random.Generator, size: tuple[float, float, float], roughness: float, square: float = 1.0) -> Mesh:
    """A superellipsoid with half axes `size`, dented by waves of relative height `roughness`.

    square: 1 makes an ellipsoid, 0.2 nearly a box with rounded edges, as cushions and sofas have.
    """
    # superellipsoid with half axes 1
    polar, around = np.linspace(-np.pi / 2, np.pi / 2, 33)[:, None], np.linspace(-np.pi, np.pi, 48, endpoint=False)

    def power(values: np.ndarray) -> np.ndarray:
        return np.sign(values) * np.abs(values) ** square

    ring, height = power(np.cos(polar)), power(np.sin(polar))
    parts = np.broadcast_arrays(ring * power(np.cos(around)), height, -ring * power(np.sin(around)))
    unit = np.stack(parts, -1)  # (33, 48, 3)

    # dents
    waves = sum(np.sin(unit @ rng.normal(0, 3 + k, 3) + rng.uniform(0, 6.28)) / (1 + k) for k in range(4))
    return lattice(unit * (1 + roughness * waves[..., None]) * np.asarray(size), closed=True)


def curtain(rng: np.random.Generator, width: float, height: float) -> Mesh:
    """Cloth that hangs in folds, in the xy plane, its lower left corner at the origin."""
    x, y = np.meshgrid(np.linspace(0, width, 120), np.linspace(0, height, 12))
    fold = np.sin(x * rng.uniform(30, 60) + rng.uniform(0, 6) + 0.6 * np.sin(2 * y + 5 * x))
    return lattice(np.stack([x, y, 0.035 * fold * (0.5 + 0.5 * (1 - y / height))], -1))


def leaves(rng: np.random.Generator, count: int, length: float) -> Mesh:
    """A plant: bent, pointed leaves that grow from the origin."""
    blades = []
    for _ in range(count):
        # a bent line, and the half width along it
        angle, lift = rng.uniform(0, 2 * np.pi), rng.uniform(0.3, 1.4)
        t = np.linspace(0, 1, 9)
        reach = length * rng.uniform(0.5, 1)
        along = reach * t * np.cos(lift)
        up = reach * (t * np.sin(lift) - 0.5 * t**2 * rng.uniform(0.2, 1))
        half = 0.09 * length * np.sin(np.pi * np.clip(t * 0.95 + 0.04, 0, 1)) * rng.uniform(0.5, 1.3)

        # a lattice of three points across
        side, forward = np.array([-np.sin(angle), 0, np.cos(angle)]), np.array([np.cos(angle), 0, np.sin(angle)])
        spine = along[:, None] * forward + up[:, None] * np.array([0, 1, 0])
        edges = [spine + s * half[:, None] * side + np.array([0, 0.3, 0]) * abs(s) * half[:, None] for s in (-1, 0, 1)]
        blades.append(lattice(np.stack(edges, 1)))
    return join(blades)


def write_ply(path: Path, mesh: Mesh) -> None:
    """Writes a mesh with normals and uv as binary PLY. Raises OSError."""
    # vertices and faces
    names = ["x", "y", "z", "nx", "ny", "nz", "u", "v"]
    values = np.concatenate([mesh.vertices, vertex_normals(mesh), mesh.uv], 1).astype("<f4")
    faces = np.zeros(len(mesh.faces), [("count", "u1"), ("index", "<i4", 3)])
    faces["count"], faces["index"] = 3, mesh.faces

    # header
    properties = "".join(f"property float {name}\n" for name in names)
    header = f"ply\nformat binary_little_endian 1.0\nelement vertex {len(values)}\n{properties}"
    header += f"element face {len(faces)}\nproperty list uchar int vertex_indices\nend_header\n"
    path.write_bytes(header.encode() + values.tobytes() + faces.tobytes())
