"""Materials of shader nodes: one Principled BSDF each, with procedural textures and bumps where asked for.

Colors are linear RGB, 0 to 1. Scales are features per meter, in the coordinates of the object, unless `generated`.
"""

import bpy

Color = tuple[float, float, float]


def principled(name: str, color: Color = (0.8, 0.8, 0.8), **inputs: float | Color) -> bpy.types.Material:
    """A material; inputs: further inputs of the Principled BSDF, with `_` for spaces, as `Transmission_Weight=1`."""
    made = bpy.data.materials.new(name)
    made.use_nodes = True
    shader = made.node_tree.nodes["Principled BSDF"]
    shader.inputs["Base Color"].default_value = (*color, 1)
    for key, value in inputs.items():
        shader.inputs[key.replace("_", " ")].default_value = (*value, 1) if key.endswith("Color") else value
    return made


def glass(name: str, color: Color = (1, 1, 1), roughness: float = 0.0) -> bpy.types.Material:
    """Tinted glass."""
    return principled(name, color, Transmission_Weight=1, Roughness=roughness, IOR=1.48)


def metal(name: str, color: Color, roughness: float = 0.2) -> bpy.types.Material:
    """Metal of this color, seen from the front."""
    return principled(name, color, Metallic=1, Roughness=roughness)


def glowing(name: str, color: Color, strength: float) -> bpy.types.Material:
    """A surface that emits `strength` times its color, linear radiance."""
    return principled(name, (0, 0, 0), Emission_Color=color, Emission_Strength=strength, Specular_IOR_Level=0)


def textured(
    name: str,
    texture: str,
    stops: list[tuple[float, Color]],
    scale: float | tuple[float, float, float],
    bump: float = 0.0,
    generated: bool = False,
    settings: dict | None = None,
    **inputs: float | Color,
) -> bpy.types.Material:
    """A material whose color runs along `stops` (position, color) with the value of a procedural texture.

    texture: a node type without `ShaderNodeTex`, such as "Noise".
    bump: height of its relief, in meters.
    generated: in the coordinates of the undeformed object, which stay on a surface that deforms.
    settings: of the texture's node: inputs by their names, properties by theirs.
    """
    made = principled(name, **inputs)
    nodes, links = made.node_tree.nodes, made.node_tree.links
    value = _first(_texture(made, texture, scale, generated, settings or {}).outputs, "VALUE")

    # color
    ramp = nodes.new("ShaderNodeValToRGB")
    elements = ramp.color_ramp.elements
    while len(elements) < len(stops):
        elements.new(1)
    for element, (position, color) in zip(elements, stops, strict=True):
        element.position, element.color = position, (*color, 1)
    links.new(value, ramp.inputs[0])
    links.new(ramp.outputs["Color"], nodes["Principled BSDF"].inputs["Base Color"])

    # relief
    if bump:
        _relief(made, value, bump)
    return made


def tiled(
    name: str, colors: tuple[Color, Color], joint: Color, size: tuple[float, float], bump: float = 0.001, **inputs
) -> bpy.types.Material:
    """Planks, tiles or bricks of `size` meters in two colors, with joints; seen along z."""
    made = principled(name, **inputs)
    width, height = size
    settings = {"Color1": (*colors[0], 1), "Color2": (*colors[1], 1), "Mortar": (*joint, 1), "Scale": 1.0}
    settings |= {"Brick Width": width, "Row Height": height, "Mortar Size": 0.003, "Mortar Smooth": 0.3}
    brick = _texture(made, "Brick", 1, False, settings)
    # grain: the color of a tile, times a stretched noise
    grain = _texture(made, "Noise", (2 / width, 6 / height, 1), False, {"Detail": 4.0})
    nodes, links = made.node_tree.nodes, made.node_tree.links
    mix = nodes.new("ShaderNodeMix")
    mix.data_type, mix.blend_type = "RGBA", "OVERLAY"
    mix.inputs[0].default_value = 0.5
    links.new(brick.outputs["Color"], _first(mix.inputs, "RGBA"))
    links.new(_first(grain.outputs, "VALUE"), [i for i in mix.inputs if i.type == "RGBA"][1])
    links.new(_first(mix.outputs, "RGBA"), nodes["Principled BSDF"].inputs["Base Color"])
    _relief(made, _first(brick.outputs, "VALUE"), -bump)
    return made


def _texture(made: bpy.types.Material, kind: str, scale, generated: bool, settings: dict) -> bpy.types.Node:
    """A texture's node in the coordinates of the object, scaled."""
    nodes, links = made.node_tree.nodes, made.node_tree.links
    coordinates, mapping = nodes.new("ShaderNodeTexCoord"), nodes.new("ShaderNodeMapping")
    mapping.inputs["Scale"].default_value = scale if isinstance(scale, tuple) else (scale,) * 3
    texture = nodes.new(f"ShaderNodeTex{kind}")
    if "Scale" in texture.inputs:
        texture.inputs["Scale"].default_value = 1
    for key, value in settings.items():
        if key in texture.inputs:
            texture.inputs[key].default_value = value
        else:
            setattr(texture, key, value)
    links.new(coordinates.outputs["Generated" if generated else "Object"], mapping.inputs["Vector"])
    links.new(mapping.outputs["Vector"], texture.inputs["Vector"])
    return texture


def _relief(made: bpy.types.Material, height: bpy.types.NodeSocket, distance: float) -> None:
    """A bump of `distance` meters where `height` is 1."""
    nodes, links = made.node_tree.nodes, made.node_tree.links
    bump = nodes.new("ShaderNodeBump")
    bump.inputs["Distance"].default_value = distance
    links.new(height, bump.inputs["Height"])
    links.new(bump.outputs["Normal"], nodes["Principled BSDF"].inputs["Normal"])


def _first(sockets, kind: str) -> bpy.types.NodeSocket:
    """The first socket of a type: their names differ between versions of Blender."""
    return next(socket for socket in sockets if socket.type == kind)
