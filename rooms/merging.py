"""From the triangles of a model to few shapes, since renderers are slow with many."""

from collections import defaultdict
from dataclasses import replace

import numpy as np

from rooms.finishes import Finish, Look, bsdf_of, finish_of, plain, printed, visible
from rooms.meshes import Mesh, join
from rooms.primitives import Shape, body
from rooms.soup import Soup, part_mesh, smooth_corners

MOST_TEXTURES = 8  # of one model; its smaller parts get the mean color of theirs


def shapes_of(soup: Soup, looks: list[Look]) -> list[Shape]:
    """Shapes of a welded soup: one for each texture, and one for all plain colors that reflect alike.

    looks: for each part of the soup. Raises ValueError where nothing is visible.
    """
    # the parts that can be seen, largest first
    corners = smooth_corners(soup.points, soup.faces)
    a, b, c = (soup.points[soup.faces[:, i]] for i in range(3))
    area = np.bincount(soup.parts, np.linalg.norm(np.cross(b - a, c - a), axis=1), len(looks))
    parts = [int(part) for part in np.argsort(-area, kind="stable") if area[part] > 0 and visible(looks[part])]
    if not parts:
        raise ValueError("nothing of it can be seen")

    # what reflects alike
    textured, alike = defaultdict(list), defaultdict(list)
    for part in parts:
        look, mesh = looks[part], part_mesh(soup, corners, soup.parts == part)
        finish, color = finish_of(look)

        # by its texture
        key = (finish, id(look.image), id(look.cutout), color if look.image is None else None)
        has_texture = (look.image is not None or look.cutout is not None) and np.ptp(mesh.uv, axis=0).max() > 1e-6
        if has_texture and (key in textured or len(textured) < MOST_TEXTURES):
            textured[key].append((mesh, look, color))
            continue

        # by its finish
        if look.image is not None:
            color = tuple(float(c) for c in look.image.mean((0, 1)))
        if look.cutout is not None:
            finish = replace(finish, opacity=round(float(finish.opacity * look.cutout.mean()), 1))
        alike[finish].append((mesh, color))

    # shapes
    shapes = []
    for (finish, *_), members in textured.items():
        _, look, color = members[0]
        reflectance = plain(color) if look.image is None else printed(look.image)
        shapes.append(body(join([mesh for mesh, _, _ in members]), bsdf_of(finish, reflectance, look.cutout)))
    return shapes + [merged(finish, pieces) for finish, pieces in alike.items()]


def merged(finish: Finish, pieces: list[tuple[Mesh, tuple[float, float, float]]]) -> Shape:
    """One shape of meshes and their colors, (3,) linear: plain, or with a pixel for each color as its texture."""
    colors = list(dict.fromkeys(color for _, color in pieces))
    if len(colors) == 1:
        return body(join([mesh for mesh, _ in pieces]), bsdf_of(finish, plain(colors[0])))

    # each mesh at the middle of its pixel
    meshes = []
    for mesh, color in pieces:
        uv = np.array([(colors.index(color) + 0.5) / len(colors), 0.5], np.float32)
        meshes.append(replace(mesh, uv=np.tile(uv, (len(mesh.uv), 1))))
    palette = np.array([colors])  # (1, N, 3)
    return body(join(meshes), bsdf_of(finish, printed(palette, filter_type="nearest")))
