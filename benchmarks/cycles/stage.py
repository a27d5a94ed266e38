"""Objects, lamps, cameras and their motion. Metres, z up; angles in radians; frames count from 1."""

from collections.abc import Callable
from math import cos, pi, sin

import bpy
from mathutils import Vector

Place = tuple[float, float, float]


def new_scene() -> bpy.types.Scene:
    """An empty scene with Blender's defaults, in which keys are joined by straight lines."""
    bpy.ops.wm.read_factory_settings(use_empty=True)
    bpy.context.preferences.edit.keyframe_new_interpolation_type = "LINEAR"
    scene = bpy.context.scene
    scene.world = bpy.data.worlds.new("world")
    scene.world.use_nodes = True
    return scene


def background(color: Place, strength: float) -> None:
    """A sky of one color, linear radiance."""
    node = bpy.context.scene.world.node_tree.nodes["Background"]
    node.inputs["Color"].default_value, node.inputs["Strength"].default_value = (*color, 1), strength


def place(name: str, data: bpy.types.ID | None, location: Place = (0, 0, 0), rotation: Place = (0, 0, 0)):
    """An object with this data, linked to the scene."""
    made = bpy.data.objects.new(name, data)
    made.location, made.rotation_euler = location, rotation
    bpy.context.scene.collection.objects.link(made)
    return made


def mesh(name: str, points: list, faces: list, *materials: bpy.types.Material, smooth: bool = False) -> bpy.types.Mesh:
    """A mesh of points (x, y, z) and faces (indices of points, in order)."""
    made = bpy.data.meshes.new(name)
    made.from_pydata(points, [], faces)
    for material in materials:
        made.materials.append(material)
    made.polygons.foreach_set("use_smooth", [smooth] * len(made.polygons))
    return made


def box(
    name: str,
    size: Place,
    location: Place,
    material: bpy.types.Material,
    bevel: float = 0.01,
    rotation: Place = (0, 0, 0),
    soft: bool = False,
) -> bpy.types.Object:
    """A box around `location` with edges rounded by `bevel` meters. soft: swollen like a cushion."""
    x, y, z = (extent / 2 for extent in size)
    points = [(i * x, j * y, k * z) for i in (-1, 1) for j in (-1, 1) for k in (-1, 1)]
    faces = [(0, 1, 3, 2), (4, 6, 7, 5), (0, 4, 5, 1), (2, 3, 7, 6), (0, 2, 6, 4), (1, 5, 7, 3)]
    made = place(name, mesh(name, points, faces, material, smooth=soft), location, rotation)
    if bevel:
        rounded = made.modifiers.new("bevel", "BEVEL")
        rounded.width, rounded.segments = bevel, 3
    if soft:
        made.modifiers.new("subdivision", "SUBSURF").render_levels = 2
    return made


def lathe(
    name: str,
    profile: list[tuple[float, float]],
    location: Place,
    material: bpy.types.Material,
    segments: int = 48,
    flutes: int = 0,
    rotation: Place = (0, 0, 0),
) -> bpy.types.Object:
    """The body that a profile of (radius, z), from bottom to top, makes around z.

    flutes: grooves around it, a twelfth of the radius deep, in the profile's middle half.
    """
    # points, a ring for each of the profile
    points, rows = [], len(profile)
    for row, (radius, z) in enumerate(profile):
        grooved = flutes if rows / 4 <= row <= 3 * rows / 4 else 0
        for angle in (2 * pi * index / segments for index in range(segments)):
            r = radius * (1 - abs(sin(grooved * angle / 2)) / 12)
            points.append((r * cos(angle), r * sin(angle), z))

    # faces around it, and at both ends
    faces = []
    for row in range(rows - 1):
        for index in range(segments):
            after, start = (index + 1) % segments, row * segments
            faces.append((start + index, start + after, start + segments + after, start + segments + index))
    faces += [tuple(range(segments))[::-1], tuple(range((rows - 1) * segments, rows * segments))]
    made = mesh(name, points, faces, material, smooth=True)
    for cap in made.polygons[-2:]:
        cap.use_smooth = False
    return place(name, made, location, rotation)


def ball_profile(radius: float, z: float, steps: int = 16) -> list[tuple[float, float]]:
    """The profile of a ball around height z, for `lathe`."""
    angles = [-pi / 2 + pi * step / steps for step in range(steps + 1)]
    return [(max(radius * cos(angle), 1e-4 * radius), z + radius * sin(angle)) for angle in angles]


def ball(name: str, radius: float, location: Place, material: bpy.types.Material) -> bpy.types.Object:
    """A ball."""
    return lathe(name, ball_profile(radius, 0), location, material, segments=32)


def lamp(
    name: str,
    kind: str,
    location: Place,
    target: Place,
    watts: float,
    color: Place = (1, 1, 1),
    **settings,
) -> bpy.types.Object:
    """A lamp at `location` that shines on `target`. kind: POINT, SPOT, AREA or SUN (in W/m2); settings: of its data."""
    data = bpy.data.lights.new(name, kind)
    data.energy, data.color = watts, color
    for key, value in settings.items():
        setattr(data, key, value)
    made = place(name, data, location)
    aim(made, location, target)
    return made


def aim(thing: bpy.types.Object, location: Place, target: Place) -> None:
    """Puts an object (camera, lamp) to `location`, so that it looks at `target`."""
    thing.location = location
    thing.rotation_euler = (Vector(target) - Vector(location)).to_track_quat("-Z", "Y").to_euler()


def camera(path: Callable[[float], tuple[Place, Place]], frames: int, **settings) -> bpy.types.Object:
    """The scene's camera. path: (location, target) at a frame. settings: of its data.

    Keyed one frame before the first and after the last, so that these have motion, too.
    """
    data = bpy.data.cameras.new("camera")
    for key, value in settings.items():
        setattr(data, key, value)
    made = bpy.context.scene.camera = place("camera", data)
    for frame in range(frames + 2):
        aim(made, *path(frame))
        made.keyframe_insert("location", frame=frame)
        made.keyframe_insert("rotation_euler", frame=frame)
    return made
