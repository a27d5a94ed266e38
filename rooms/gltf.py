"""Reads glTF and PLY files, with trimesh."""

import io
import os
from pathlib import Path
from urllib.parse import unquote

import numpy as np
import trimesh

from rooms.finishes import Look
from rooms.looks import from_trimesh
from rooms.pictures import MOST_BYTES, find_file
from rooms.soup import MOST_FACES, Soup


class Resolver(trimesh.resolvers.Resolver):
    """Gives trimesh the files that a model names, of those in the folder of models, and no others."""

    def __init__(self, root: str, near: str):
        self.root, self.near = root, near

    def get(self, name: str) -> bytes:
        """The content of a file. Raises ValueError where there is none, or it is too large."""
        found = find_file(self.root, self.near, unquote(str(name)))
        if found is None or Path(self.root, found).stat().st_size > MOST_BYTES:
            raise ValueError(f"it needs the file {name}, which is missing or too large")
        return Path(self.root, found).read_bytes()

    def keys(self) -> list[str]:
        """No names; trimesh asks for those that a file refers to."""
        return []

    def namespaced(self, namespace: str) -> "Resolver":
        """For the files of a folder next to the model."""
        return Resolver(self.root, os.path.join(self.near, namespace))

    def write(self, name: str, data: bytes) -> None:
        """Raises PermissionError: reading a model writes nothing."""
        raise PermissionError(name)


def from_scene(root: str, path: Path) -> tuple[Soup, list[Look]]:
    """Triangles and materials of a glTF or PLY file."""
    # scene
    resolver = Resolver(root, path.parent.relative_to(root).as_posix().removeprefix("."))
    kind = path.suffix.lower().removeprefix(".")
    scene = trimesh.load_scene(io.BytesIO(path.read_bytes()), file_type=kind, resolver=resolver, process=False)

    # geometries, each as often as it stands in the scene
    points, faces, uv, parts, looks, looked = [], [], [], [], [], {}
    count = 0
    for node in sorted(scene.graph.nodes_geometry):
        matrix, name = scene.graph[node]
        geometry = scene.geometry[name]
        if not isinstance(geometry, trimesh.Trimesh) or not len(geometry.faces):
            continue
        if name not in looked:
            looked[name] = len(looks)
            looks.append(from_trimesh(geometry.visual))
        points.append(geometry.vertices @ matrix[:3, :3].T + matrix[:3, 3])
        faces.append(geometry.faces + count)
        coordinates = getattr(geometry.visual, "uv", None)
        fits = coordinates is not None and np.shape(coordinates) == (len(geometry.vertices), 2)
        uv.append(coordinates if fits else np.zeros((len(geometry.vertices), 2)))
        parts.append(np.full(len(geometry.faces), looked[name]))
        count += len(geometry.vertices)
        if sum(map(len, faces)) > MOST_FACES:
            break  # a small file may place a geometry a million times
    if not faces:
        raise ValueError("it has no faces")
    faces = np.concatenate(faces)
    return Soup(np.concatenate(points), faces, np.concatenate(uv), faces, np.concatenate(parts)), looks
