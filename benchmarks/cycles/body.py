"""A clothed figure that walks and waves: a skin over a skeleton of edges, bound to an armature with keyed bones.

It stands at its object's origin and faces -y. Metres.
"""

from math import cos, pi, radians, sin

import bpy
import numpy as np
from mathutils import Quaternion, Vector

from benchmarks.cycles import stage

# joint: place, radii of the skin
JOINTS = {
    "pelvis": ((0, 0, 0.96), (0.135, 0.11)),
    "waist": ((0, 0, 1.12), (0.12, 0.095)),
    "chest": ((0, 0, 1.32), (0.15, 0.11)),
    "neck": ((0, 0.01, 1.47), (0.058, 0.058)),
    "head": ((0, -0.01, 1.57), (0.062, 0.07)),
}
SIDES = {
    "shoulder": ((0.18, 0, 1.405), (0.07, 0.07)),
    "elbow": ((0.27, 0.02, 1.15), (0.046, 0.046)),
    "wrist": ((0.33, -0.03, 0.93), (0.033, 0.03)),
    "hand": ((0.35, -0.06, 0.84), (0.045, 0.028)),
    "hip": ((0.095, 0, 0.88), (0.1, 0.105)),
    "knee": ((0.11, -0.015, 0.5), (0.065, 0.068)),
    "ankle": ((0.115, 0.025, 0.1), (0.045, 0.045)),
    "toe": ((0.125, -0.13, 0.05), (0.048, 0.045)),
}
MIRRORED = {"l": 1, "r": -1}
JOINTS |= {f"{n}.{s}": ((x * k, y, z), r) for s, k in MIRRORED.items() for n, ((x, y, z), r) in SIDES.items()}

# bone: from joint, to joint, parent, material
BONES = {
    "hips": ("pelvis", "waist", None, "trousers"),
    "spine": ("waist", "chest", "hips", "shirt"),
    "ribs": ("chest", "neck", "spine", "shirt"),
    "skull": ("neck", "head", "ribs", "skin"),
}
LIMBS = {
    "upper arm": ("shoulder", "elbow", "ribs", "shirt"),
    "forearm": ("elbow", "wrist", "upper arm", "skin"),
    "palm": ("wrist", "hand", "forearm", "skin"),
    "thigh": ("hip", "knee", "hips", "trousers"),
    "shin": ("knee", "ankle", "thigh", "trousers"),
    "foot": ("ankle", "toe", "shin", "shoes"),
}
BONES |= {
    f"{name}.{s}": (f"{start}.{s}", f"{end}.{s}", f"{parent}.{s}" if parent in LIMBS else parent, cloth)
    for s in MIRRORED
    for name, (start, end, parent, cloth) in LIMBS.items()
}
LINKS = [("shoulder", "chest"), ("hip", "pelvis")]  # edges of the skeleton that are no bones
HEAD = ((0, -0.025, 1.66), (0.083, 0.102, 0.125))  # center and radii of an ellipsoid
HAIR = ((0, 0.0, 1.685), (0.093, 0.105, 0.117))
EYES, NOSE = ((0.034, -0.115, 1.675), 0.014), ((0, -0.128, 1.64), 0.017)

PERIOD = 26  # frames of two steps
STRIDE = 0.054  # meters a frame, at which feet on the floor stay where they are
WAVE = 13  # frames in which the raised hand goes to and fro


def figure(clothes: dict[str, bpy.types.Material], location: stage.Place, heading: float, frames: int):
    """The figure, walking from `location` toward `heading` (angle around z; 0 walks to -y). Returns its armature.

    clothes: a material for each of shirt, trousers, skin, shoes, hair, eyes.
    """
    armature = _armature()
    body = _bound(_skin(), clothes)
    body.parent = armature
    body.modifiers.new("armature", "ARMATURE").object = armature
    armature.rotation_euler = (0, 0, heading)
    for frame in range(frames + 2):
        _pose(armature, frame)
        forward = Vector((sin(heading), -cos(heading), 0)) * STRIDE * frame
        armature.location = Vector(location) + forward + Vector((0, 0, 0.02 * cos(4 * pi * frame / PERIOD) - 0.02))
        armature.keyframe_insert("location", frame=frame)
    return armature


def _skin() -> bpy.types.Mesh:
    """The skin modifier's mesh over the skeleton, in rest, and a head; made once, so that its points stay the same."""
    names = list(JOINTS)
    pairs = [(a, b) for a, b, *_ in BONES.values()]
    pairs += [(f"{a}.{s}", b) for s in MIRRORED for a, b in LINKS]
    skeleton = bpy.data.meshes.new("skeleton")
    skeleton.from_pydata([JOINTS[n][0] for n in names], [(names.index(a), names.index(b)) for a, b in pairs], [])
    thing = stage.place("skeleton", skeleton)
    thing.modifiers.new("skin", "SKIN").use_smooth_shade = True
    thing.modifiers.new("subdivision", "SUBSURF").levels = 2
    for index, name in enumerate(names):
        skeleton.skin_vertices[0].data[index].radius = JOINTS[name][1]
        skeleton.skin_vertices[0].data[index].use_root = name == "pelvis"
    evaluated = thing.evaluated_get(bpy.context.evaluated_depsgraph_get())
    made = bpy.data.meshes.new_from_object(evaluated)
    bpy.data.objects.remove(thing)
    return made


def _bound(skin: bpy.types.Mesh, clothes: dict[str, bpy.types.Material]) -> bpy.types.Object:
    """The skin and its head as one object, with vertex groups for the bones, and materials."""
    # all surfaces in one mesh
    parts = [(np.array([v.co for v in skin.vertices]), [tuple(p.vertices) for p in skin.polygons], None)]
    (x, y, z), size = EYES
    eyes = [((side * x, y, z), (size,) * 3) for side in MIRRORED.values()]
    nose = (NOSE[0], (NOSE[1],) * 3)
    for cloth, (center, radii) in [("skin", HEAD), ("skin", nose), ("hair", HAIR), *(("eyes", eye) for eye in eyes)]:
        parts.append((*_ellipsoid(center, radii), cloth))
    points, faces, fixed = np.concatenate([p for p, *_ in parts]), [], []
    start = 0
    for own, own_faces, cloth in parts:
        faces += [tuple(start + index for index in face) for face in own_faces]
        fixed += [cloth] * len(own_faces)
        start += len(own)

    # the nearest bones move a point; heads follow the skull
    weights = _weights(points)
    weights[len(parts[0][0]) :] = np.eye(len(BONES))[list(BONES).index("skull")]
    made = stage.place("figure", stage.mesh("figure", points.tolist(), faces, *clothes.values(), smooth=True))
    for column, bone in enumerate(BONES):
        group = made.vertex_groups.new(name=bone)
        for index in np.flatnonzero(weights[:, column] > 0.01):
            group.add([int(index)], float(weights[index, column]), "REPLACE")

    # clothes
    names, bones = list(clothes), list(BONES.values())
    for polygon, cloth in zip(made.data.polygons, fixed, strict=True):
        nearest = bones[weights[list(polygon.vertices)].sum(0).argmax()]
        polygon.material_index = names.index(cloth or nearest[3])
    return made


def _ellipsoid(center: stage.Place, radii: stage.Place) -> tuple[np.ndarray, list]:
    """Points and faces of an ellipsoid; the hair's is open in front, where the face is."""
    rows, columns = 13, 20
    up, around = np.linspace(-pi / 2 + 0.05, pi / 2 - 0.05, rows), np.arange(columns) * 2 * pi / columns
    unit = np.stack(
        [np.outer(np.cos(up), np.cos(around)), np.outer(np.cos(up), np.sin(around)), np.sin(up)[:, None] + 0 * around],
        -1,
    )
    points = (np.array(center) + unit * radii).reshape(-1, 3)
    faces = [
        (r * columns + c, r * columns + (c + 1) % columns, (r + 1) * columns + (c + 1) % columns, (r + 1) * columns + c)
        for r in range(rows - 1)
        for c in range(columns)
    ]
    faces += [tuple(range(columns))[::-1], tuple(range((rows - 1) * columns, rows * columns))]
    if (center, radii) == HAIR:
        # the face shows below the forehead, the neck below the nape
        bare = lambda p: p[2] < 1.60 or (p[1] < -0.02 and p[2] < 1.72)  # noqa: E731
        faces = [face for face in faces if not bare(points[list(face)].mean(0))]
    return points, faces


def _weights(points: np.ndarray) -> np.ndarray:
    """(points, bones): how much each bone moves each point; falls with the distance to the bone."""
    distances = []
    for start, end, *_ in BONES.values():
        a, b = (np.array(JOINTS[joint][0]) for joint in (start, end))
        along = np.clip((points - a) @ (b - a) / ((b - a) @ (b - a)), 0, 1)[:, None]
        thickness = sum(JOINTS[start][1] + JOINTS[end][1]) / 4
        distances.append(np.linalg.norm(points - a - along * (b - a), axis=1) / thickness)
    weights = np.stack(distances, 1).clip(0.05) ** -6.0
    weights[weights < np.sort(weights, 1)[:, -3:-2]] = 0
    return weights / weights.sum(1, keepdims=True)


def _armature() -> bpy.types.Object:
    """The armature with BONES, in rest."""
    made = stage.place("armature", bpy.data.armatures.new("armature"))
    bpy.context.view_layer.objects.active = made
    bpy.ops.object.mode_set(mode="EDIT")  # bones can only be made so
    for name, (start, end, parent, _) in BONES.items():
        bone = made.data.edit_bones.new(name)
        bone.head, bone.tail = JOINTS[start][0], JOINTS[end][0]
        bone.parent = made.data.edit_bones[parent] if parent else None
    bpy.ops.object.mode_set(mode="OBJECT")
    return made


def _pose(armature: bpy.types.Object, frame: float) -> None:
    """Keys all bones at a frame of walking with the right hand raised."""
    step = 2 * pi * frame / PERIOD
    wave = sin(2 * pi * frame / WAVE)
    # (angle in degrees, axis) around the axes of the figure in rest; forward swings are negative around x
    turns = {
        "hips": [(5 * cos(step), "Z")],
        "spine": [(-7 * cos(step), "Z"), (3, "X")],
        "skull": [(-4 * cos(step), "Z"), (14, "Z")],
        "upper arm.l": [(26 * sin(step), "X")],
        "forearm.l": [(-22 + 10 * sin(step), "X")],
        "upper arm.r": [(112 + 6 * wave, "Y"), (-14, "X")],
        "forearm.r": [(45 + 24 * wave, "Y")],
        "palm.r": [(14 * wave, "Y")],
    }
    for side, phase in (("l", step), ("r", step + pi)):
        turns[f"thigh.{side}"] = [(-4 - 27 * sin(phase), "X")]
        turns[f"shin.{side}"] = [(7 + 20 * (1 + cos(phase + 0.5)), "X")]
        turns[f"foot.{side}"] = [(-4 - 12 * cos(phase + 0.9), "X")]
    for name, swings in turns.items():
        bone, turn = armature.pose.bones[name], Quaternion()
        for degrees, axis in swings:
            turn = Quaternion({"X": (1, 0, 0), "Y": (0, 1, 0), "Z": (0, 0, 1)}[axis], radians(degrees)) @ turn
        rest = bone.bone.matrix_local.to_quaternion()
        bone.rotation_quaternion = rest.inverted() @ turn @ rest
        bone.keyframe_insert("rotation_quaternion", frame=frame)
