"""Makes blender_0001.exr ... beside it: a moving camera, two light groups, the passes of Cycles in multilayer EXRs.

Needs Blender 4.2 or newer: `blender --background --python make_blender.py`, or `pip install bpy` in a virtual
environment, and `python make_blender.py [FOLDER] [WIDTH HEIGHT FRAMES SAMPLES]`. Made with bpy 4.5.15.
"""

import sys
from math import radians
from pathlib import Path

import bpy

SIZE, FRAMES, SAMPLES = (44, 33), 3, 2


def material(name: str, tint: tuple[float, float, float]) -> bpy.types.Material:
    """A matt surface with a checker, so that its albedo shows where it moves."""
    made = bpy.data.materials.new(name)
    made.use_nodes = True
    nodes, links = made.node_tree.nodes, made.node_tree.links
    checker = nodes.new("ShaderNodeTexChecker")
    checker.inputs["Color1"].default_value = (*tint, 1)
    checker.inputs["Color2"].default_value = (0.15, 0.15, 0.2, 1)
    checker.inputs["Scale"].default_value = 1.3
    coordinates = nodes.new("ShaderNodeTexCoord")
    links.new(coordinates.outputs["Object"], checker.inputs["Vector"])
    links.new(checker.outputs["Color"], nodes["Principled BSDF"].inputs["Base Color"])
    nodes["Principled BSDF"].inputs["Roughness"].default_value = 0.8
    return made


def lamp(group: str, place: tuple[float, float, float], energy: float, color: tuple[float, float, float]) -> None:
    """A point lamp in a light group of its own."""
    bpy.ops.object.light_add(type="POINT", location=place)
    made = bpy.context.object
    made.data.energy, made.data.color, made.data.shadow_soft_size = energy, color, 0.3
    made.lightgroup = group


def build() -> None:
    """The scene: a floor, two bodies, two lamps, and a camera that travels, turns and rises."""
    bpy.ops.wm.read_factory_settings(use_empty=True)
    scene = bpy.context.scene
    bpy.ops.mesh.primitive_plane_add(size=14)
    bpy.context.object.data.materials.append(material("floor", (0.8, 0.75, 0.6)))
    bpy.ops.mesh.primitive_cube_add(size=1.6, location=(-1, 0.5, 0.8), rotation=(0, 0, 0.5))
    bpy.context.object.data.materials.append(material("cube", (0.8, 0.2, 0.1)))
    bpy.ops.mesh.primitive_uv_sphere_add(radius=0.9, location=(1.3, -0.3, 0.9), segments=48, ring_count=24)
    bpy.context.object.data.materials.append(material("ball", (0.1, 0.4, 0.8)))
    for group in ("key", "fill"):
        bpy.context.view_layer.lightgroups.add().name = group
    lamp("key", (3, -3, 5), 900, (1, 0.8, 0.6))
    lamp("fill", (-4, -2, 3), 250, (0.5, 0.7, 1))

    camera = bpy.data.objects.new("camera", bpy.data.cameras.new("camera"))
    scene.collection.objects.link(camera)
    scene.camera = camera
    for frame, place, pan in ((1, (-0.6, -7, 2.6), 6), (5, (0.6, -6.6, 3.4), -4)):
        camera.location, camera.rotation_euler = place, (radians(72), 0, radians(pan))
        camera.keyframe_insert("location", frame=frame)
        camera.keyframe_insert("rotation_euler", frame=frame)
    curves = camera.animation_data.action.fcurves
    for point in (point for curve in curves for point in curve.keyframe_points):
        point.interpolation = "LINEAR"


def render(folder: Path, size: tuple[int, int], frames: int, samples: int) -> None:
    """Renders frames 1, 2 ... with denoising on, so that `Combined` is denoised and `Noisy Image` is not."""
    scene, layer = bpy.context.scene, bpy.context.view_layer
    scene.render.engine = "CYCLES"
    scene.render.resolution_x, scene.render.resolution_y, scene.render.resolution_percentage = *size, 100
    scene.cycles.device, scene.cycles.samples, scene.cycles.use_adaptive_sampling = "CPU", samples, False
    scene.cycles.use_animated_seed = True  # else the noise of every frame is the same
    scene.cycles.max_bounces, scene.cycles.use_denoising, scene.render.film_transparent = 3, True, True
    layer.cycles.denoising_store_passes = True
    layer.use_pass_vector = layer.use_pass_z = layer.use_pass_normal = True
    scene.render.image_settings.file_format = "OPEN_EXR_MULTILAYER"
    scene.render.image_settings.color_depth, scene.render.image_settings.exr_codec = "16", "ZIP"
    scene.frame_start, scene.frame_end = 1, frames
    scene.render.filepath = str(folder / "blender_####")
    bpy.ops.render.render(animation=True)


if __name__ == "__main__":
    given = sys.argv[sys.argv.index("--") + 1 :] if "--" in sys.argv else sys.argv[1:]
    folder = Path(given[0] if given else __file__).resolve()
    numbers = [int(number) for number in given[1:]] or [*SIZE, FRAMES, SAMPLES]
    build()
    render(folder if given else folder.parent, tuple(numbers[:2]), *numbers[2:])
