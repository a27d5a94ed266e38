"""Reads Wavefront OBJ and MTL files, from text."""

import numpy as np

from rooms.soup import MOST_FACES, Soup


def read_obj(text: str) -> tuple[Soup, list[str], list[str]]:
    """Triangles of an OBJ file; the names of their materials, "" for none; the MTL files that it names.

    Polygons become fans. Normals, lines and points are ignored. Raises ValueError where it is broken.
    """
    # lines
    points, uv, corners, counts, materials = [], [], [], [], []
    numbers, libraries, material = {}, [], 0
    for line in text.replace("\\\n", " ").splitlines():
        kind, _, rest = line.strip().partition(" ")
        if kind == "v":
            points.append(rest.split()[:3])
        elif kind == "vt":
            uv.append([*rest.split(), "0"][:2])
        elif kind == "f":
            polygon = rest.split()
            if len(polygon) < 3:
                continue
            for corner in polygon:
                point, _, other = corner.partition("/")
                at, coordinate = int(point), int(other.partition("/")[0] or 0)
                # counted from 1, or back from the last so far; 0 of uv: none
                corners.append((at - 1 if at > 0 else at + len(points), coordinate + len(uv) * (coordinate < 0)))
            counts.append(len(polygon))
            if len(counts) > MOST_FACES:
                raise ValueError(f"it has more than {MOST_FACES:,} faces")
            if not numbers:
                numbers[""] = 0
            materials.append(material)
        elif kind == "usemtl":
            material = numbers.setdefault(rest.strip(), len(numbers))
        elif kind == "mtllib":
            libraries.append(rest.strip())
    if not counts:
        raise ValueError("it has no faces")

    # triangles: the first corner of a polygon with each edge that does not touch it
    points, uv = np.array(points, float), np.array([["0", "0"], *uv], float)
    corners, counts = np.array(corners), np.array(counts)
    polygon = np.repeat(np.arange(len(counts)), counts - 2)
    first = np.concatenate([[0], np.cumsum(counts)[:-1]])[polygon]
    edge = np.arange(len(polygon)) - np.repeat(np.cumsum(counts - 2) - (counts - 2), counts - 2)
    triangles = np.stack([first, first + edge + 1, first + edge + 2], 1)  # (M, 3)
    faces, uv_faces = corners[triangles, 0], corners[triangles, 1]
    if faces.min() < 0 or faces.max() >= len(points) or uv_faces.min() < 0 or uv_faces.max() >= len(uv):
        raise ValueError("a face has a vertex that the file does not have")
    return Soup(points, faces, uv, uv_faces, np.array(materials)[polygon]), list(numbers), libraries


def read_mtl(text: str) -> dict[str, dict[str, str]]:
    """Materials of an MTL file: for each name its lines, by their first word in lower case."""
    materials, current = {}, {}
    for line in text.splitlines():
        kind, _, rest = line.strip().replace("\t", " ").partition(" ")
        if kind.lower() == "newmtl":
            current = materials.setdefault(rest.strip(), {})
        elif kind:
            current[kind.lower()] = rest.strip()
    return materials
