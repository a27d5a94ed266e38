"""Triangles of a model as files have them, and their way to meshes: welded, with sharp edges kept sharp."""

from dataclasses import dataclass

import numpy as np

from rooms.meshes import Mesh

MOST_FACES = 60_000  # of one model
CREASE = np.cos(np.radians(40))  # faces that meet at a larger angle have an edge between them


@dataclass(frozen=True)
class Soup:
    """Triangles: points (N, 3) float64; faces (M, 3) int64, into the points; uv (K, 2) float64, v up; uv_faces (M, 3)
    int64, into uv; parts (M,) int64, the number of each face's material."""

    points: np.ndarray
    faces: np.ndarray
    uv: np.ndarray
    uv_faces: np.ndarray
    parts: np.ndarray


def welded(soup: Soup) -> Soup:
    """The soup with points at the same place made one, and without faces of no area or twice the same."""
    # points on a grid of a millionth of the size
    low = soup.points.min(0)
    step = max(float(np.ptp(soup.points, axis=0).max()), 1e-12) / 2**20
    x, y, z = np.round((soup.points - low) / step).astype(np.int64).T
    _, first, inverse = np.unique((x << 42) | (y << 21) | z, return_index=True, return_inverse=True)
    points, faces = soup.points[first], inverse.reshape(-1)[soup.faces]

    # faces
    a, b, c = (points[faces[:, i]] for i in range(3))
    area = np.linalg.norm(np.cross(b - a, c - a), axis=1)
    corners = np.sort(faces, 1)
    order = np.lexsort(corners.T)  # stable: of equal faces, the first in the file counts
    repeated = np.zeros(len(faces), bool)
    repeated[order[1:]] = (corners[order[1:]] == corners[order[:-1]]).all(1)
    kept = (area > step * step) & ~repeated
    return Soup(points, faces[kept], soup.uv, soup.uv_faces[kept], soup.parts[kept])


def smooth_corners(points: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """For each corner of welded faces (M, 3) a number (M, 3): the same where corners share one shading normal.

    They do where they are at one point and a chain of faces without a crease joins them.
    """
    # unit normals
    a, b, c = (points[faces[:, i]] for i in range(3))
    normals = np.cross(b - a, c - a)
    normals /= np.linalg.norm(normals, axis=1, keepdims=True)

    # pairs of faces with a common edge and no crease; corners count from 0 to 3M
    corner = np.arange(faces.size).reshape(faces.shape)
    start, end = corner.ravel(), np.roll(corner, -1, 1).ravel()  # of each edge
    flat = faces.ravel()
    swapped = flat[start] > flat[end]
    start, end = np.where(swapped, end, start), np.where(swapped, start, end)
    key = flat[start] * len(points) + flat[end]
    order = np.argsort(key, kind="stable")
    first, second = order[:-1], order[1:]
    smooth = (key[first] == key[second]) & ((normals[first // 3] * normals[second // 3]).sum(1) > CREASE)
    first, second = first[smooth], second[smooth]

    # the smallest corner of each connected group
    ends = np.concatenate([start[first], end[first]]), np.concatenate([start[second], end[second]])
    label = np.arange(faces.size)
    while True:
        least = np.minimum(label[ends[0]], label[ends[1]])
        new = label.copy()
        for side in ends:
            np.minimum.at(new, side, least)
        new = new[new]
        if np.array_equal(new, label):
            return label.reshape(faces.shape)
        label = new


def part_mesh(soup: Soup, corners: np.ndarray, chosen: np.ndarray) -> Mesh:
    """The chosen faces (M,) bool of a welded soup as a mesh; corners: of smooth_corners. v is turned to point down."""
    groups, uv_faces, faces = corners[chosen], soup.uv_faces[chosen], soup.faces[chosen]
    key = groups * len(soup.uv) + uv_faces
    _, first, inverse = np.unique(key.ravel(), return_index=True, return_inverse=True)
    uv = soup.uv[uv_faces.ravel()[first]] * [1, -1] + [0, 1]
    vertices = soup.points[faces.ravel()[first]]
    return Mesh(vertices.astype(np.float32), inverse.reshape(faces.shape).astype(np.uint32), uv.astype(np.float32))
