"""A colonnade full of fog: beams through high windows, swinging lanterns, and a figure that walks through them."""

from math import cos, pi, radians, sin

import bpy

from benchmarks.cycles import stage
from benchmarks.cycles.body import figure
from benchmarks.cycles.materials import glowing, metal, principled, textured, tiled

ROWS = [1.2 + 2.4 * row for row in range(6)]  # y of the pillars
AISLE = 1.9  # x of the pillars
PILLAR = [(0.42, 0), (0.42, 0.12), (0.36, 0.16), (0.38, 0.22), (0.3, 0.28)]
PILLAR += [(0.27 - 0.006 * step, 0.36 + 0.3 * step) for step in range(10)]
PILLAR += [(0.21, 3.16), (0.29, 3.22), (0.27, 3.28), (0.38, 3.4), (0.4, 3.4), (0.4, 3.52)]
FOG, GROUND_FOG = 0.045, 0.10  # densities, 1/m


def build(frames: int) -> bpy.types.Scene:
    """The scene, with keys for so many frames."""
    # hall
    scene = stage.new_scene()
    stage.background((0.1, 0.2, 0.4), 0.05)
    _hall()
    _light()
    _lanterns(frames)

    # figure
    cloak = principled("cloak", (0.10, 0.02, 0.02), Roughness=0.9)
    dark = principled("dark", (0.03, 0.03, 0.035), Roughness=0.7)
    pale = principled("skin", (0.6, 0.38, 0.28), Roughness=0.6)
    clothes = {"shirt": cloak, "trousers": dark, "skin": pale, "shoes": dark, "hair": dark, "eyes": dark}
    figure(clothes, (0.2, 3.4, 0.02), radians(20), frames)

    # fog and camera
    _fill("fog", (14, 22, 7), (0, 8, 3.4), FOG)
    _fill("ground fog", (13.8, 21.8, 0.5), (0, 8, 0.26), GROUND_FOG)

    def path(f: float) -> tuple[stage.Place, stage.Place]:
        return (0.75 - 0.035 * f, -2.2 + 0.05 * f, 1.4 + 0.02 * f), (-0.45 - 0.012 * f, 5.0, 1.85)

    stage.camera(path, frames, lens=23)
    return scene


def _hall() -> None:
    """Pillars with arches, a floor, a wall with windows on the left, and one without on the right."""
    stops = [(0.3, (0.22, 0.19, 0.15)), (0.55, (0.38, 0.34, 0.28)), (0.75, (0.46, 0.42, 0.35))]
    stone = textured("stone", "Noise", stops, 5, 0.02, settings={"Detail": 7.0}, Roughness=0.8)
    grays = (0.16, 0.15, 0.14), (0.27, 0.24, 0.21)
    tiles = tiled("tiles", grays, (0.03, 0.03, 0.03), (0.8, 0.8), 0.004, Roughness=0.16)
    bricks = tiled("bricks", ((0.2, 0.14, 0.1), (0.28, 0.2, 0.15)), (0.1, 0.09, 0.08), (0.6, 0.3), 0.01, Roughness=0.9)
    stage.box("floor", (14, 22, 0.1), (0, 8, -0.05), tiles, 0)
    for y in ROWS:
        for side in (-1, 1):
            stage.lathe("pillar", PILLAR, (side * AISLE, y, 0), stone, segments=80, flutes=20)
        _arch((0, y, 3.5), AISLE, stone, 0)
    for y in ROWS[:-1]:
        for side in (-1, 1):
            _arch((side * AISLE, y + 1.2, 3.5), 1.2, stone, pi / 2)
    stage.box("right", (0.3, 22, 6), (4.4, 8, 3), bricks, 0)
    stage.box("end", (14, 0.3, 6), (0, 16, 3), bricks, 0)

    # left wall: between the rows it is open from 1.6 m to 4.6 m, with a mullion
    stage.box("left", (0.3, 22, 1.6), (-4.4, 8, 0.8), bricks, 0)
    stage.box("left", (0.3, 22, 1.4), (-4.4, 8, 5.3), bricks, 0)
    for y in (ROWS[0] - 2.4, *ROWS):
        stage.box("left", (0.3, 1.3, 3.0), (-4.4, y, 3.1), bricks, 0)
        stage.box("mullion", (0.1, 0.07, 3.0), (-4.4, y + 1.2, 3.1), stone, 0)

    # between the pillars: a broken drum, and blocks
    stage.lathe("drum", [(0.3, 0), (0.3, 0.9)], (1.0, 1.3, 0.28), stone, 80, 20, (radians(90), 0, radians(68)))
    blocks = (1.25, 0.5, 0.32, 0.4), (-1.25, 3.2, 0.4, 0.9), (0.95, 4.4, 0.25, 0.2), (-0.95, 0.1, 0.2, 1.1)
    for x, y, size, turn in blocks:
        stage.box("block", (size * 1.5, size, size), (x, y, size / 2), stone, 0.03, (0, 0, turn))


def _arch(where: stage.Place, radius: float, material: bpy.types.Material, turn: float) -> None:
    """Half a ring of a square profile in the plane of x and z, turned around z."""
    profile, steps = [(-0.16, 0.18), (0.16, 0.18), (0.16, -0.18), (-0.16, -0.18)], 24  # offsets outwards, along y
    points, faces = [], []
    for step in range(steps + 1):
        angle = pi * step / steps
        points += [((radius + out) * cos(angle), y, (radius + out) * sin(angle)) for out, y in profile]
        if step:
            start = 4 * (step - 1)
            faces += [(start + i, start + (i + 1) % 4, start + 4 + (i + 1) % 4, start + 4 + i) for i in range(4)]
    made = stage.place("arch", stage.mesh("arch", points, faces, material), where, (0, 0, turn))
    made.modifiers.new("bevel", "BEVEL").width = 0.02


def _light() -> None:
    """A spot lamp outside each of some windows, a blue one at the end, and a little light on the front."""
    for y, watts in ((ROWS[1] - 1.2, 24000), (ROWS[2] - 1.2, 30000), (ROWS[3] - 1.2, 30000)):
        cone = {"spot_size": radians(9), "spot_blend": 0.3, "shadow_soft_size": 0.12}
        stage.lamp("moon", "SPOT", (-11, y + 3.6, 8.2), (0.3, y - 1.0, 0.6), watts, (1.0, 0.8, 0.55), **cone)
    wide = {"spot_size": radians(50), "spot_blend": 0.5}
    stage.lamp("back", "SPOT", (0.6, 14.5, 5.2), (-0.1, 3, 0.8), 500, (0.3, 0.55, 1.0), **wide)
    stage.lamp("fill", "AREA", (2.5, -3.5, 4), (0, 4, 1), 16, (0.45, 0.6, 1.0), size=2)


def _lanterns(frames: int) -> None:
    """Lanterns that hang from the arches and swing."""
    iron, light = metal("iron", (0.2, 0.19, 0.18), 0.4), glowing("lantern", (1.0, 0.45, 0.12), 20)
    for index, y in enumerate((ROWS[1], ROWS[3])):
        # parts, which hang from a pivot
        pivot = stage.place("pivot", None, (0, y, 5.2))
        parts = [
            stage.lathe("chain", [(0.012, -2.1), (0.012, 0)], (0, 0, 0), iron, 8),
            stage.lathe("glow", stage.ball_profile(0.1, -2.35), (0, 0, 0), light, 24),
            stage.lathe("cap", [(0.18, -2.2), (0.17, -2.18), (0.04, -2.08), (0.02, -2.06)], (0, 0, 0), iron),
            stage.lathe("tray", [(0.1, -2.52), (0.14, -2.5), (0.14, -2.47), (0.1, -2.46)], (0, 0, 0), iron),
        ]
        for angle in (0, pi / 2, pi, 3 * pi / 2):
            bar = [(0.01, -2.48), (0.01, -2.18)]
            parts.append(stage.lathe("bar", bar, (0.13 * cos(angle), 0.13 * sin(angle), 0), iron, 8))
        for part in parts:
            part.parent = pivot

        # motion
        for frame in range(frames + 2):
            pivot.rotation_euler = (0.05 * cos(0.13 * frame + index), 0.12 * sin(0.13 * frame + 2 * index), 0)
            pivot.keyframe_insert("rotation_euler", frame=frame)


def _fill(name: str, size: stage.Place, where: stage.Place, density: float) -> None:
    """A box of evenly dense fog, without a surface."""
    material = principled(name)
    nodes, links = material.node_tree.nodes, material.node_tree.links
    nodes.remove(nodes["Principled BSDF"])
    scatter = nodes.new("ShaderNodeVolumeScatter")
    scatter.inputs["Density"].default_value, scatter.inputs["Anisotropy"].default_value = density, 0.35
    links.new(scatter.outputs["Volume"], nodes["Material Output"].inputs["Volume"])
    stage.box(name, size, where, material, 0)
