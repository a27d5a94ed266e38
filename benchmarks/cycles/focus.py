"""Small things in a row on a table at night, and many lamps behind them, out of focus; the camera travels past."""

from math import pi, radians
from random import Random

import bmesh
import bpy

from benchmarks.cycles import stage
from benchmarks.cycles.materials import glass, glowing, metal, principled, textured

LAMPS = 110
SIZES = (0.005, 0.009)  # radii of lamps, in parts of their distance: smaller ones would need far more samples
GLOWS = [(1.0, 0.55, 0.2), (1.0, 0.62, 0.3), (1.0, 0.42, 0.12), (1.0, 0.12, 0.08), (0.2, 0.75, 0.65), (0.25, 0.4, 1.0)]
# Profiles for stage.lathe: (radius, z), from bottom to top.
PAWN = [(0.016, 0), (0.017, 0.004), (0.014, 0.008), (0.015, 0.011), (0.009, 0.016), (0.006, 0.032), (0.011, 0.035)]
PAWN += [(0.006, 0.038)]
ROOK = [(0.018, 0), (0.019, 0.005), (0.015, 0.009), (0.011, 0.02), (0.01, 0.045), (0.014, 0.05), (0.0145, 0.062)]
ROOK += [(0.011, 0.062), (0.01, 0.055)]
VIAL = [(0.014, 0), (0.016, 0.003), (0.016, 0.03), (0.007, 0.04), (0.007, 0.05), (0.009, 0.052)]
NUT = [(0.017, 0), (0.02, 0.002), (0.02, 0.014), (0.017, 0.016), (0.01, 0.016), (0.009, 0.008)]
TOP = [(0.0005, 0), (0.004, 0.007), (0.02, 0.022), (0.022, 0.026), (0.02, 0.03), (0.004, 0.034), (0.003, 0.05)]
TOP += [(0.002, 0.051)]


def build(frames: int) -> bpy.types.Scene:
    """The scene, with keys for so many frames."""
    scene = stage.new_scene()
    _surroundings()
    _things(frames)
    _lamps()
    _camera(frames)
    return scene


def _surroundings() -> None:
    """The table, a dark wall far behind, and the lamps that light the things."""
    # table and wall
    stage.background((0.05, 0.08, 0.2), 0.6)
    stops = [(0.15, (0.09, 0.035, 0.015)), (0.6, (0.2, 0.085, 0.035)), (0.9, (0.13, 0.05, 0.02))]
    grain, shine = {"Distortion": 7.0, "Detail": 4.0}, {"Roughness": 0.38, "Specular_IOR_Level": 0.35}
    wood = textured("table", "Wave", stops, (18, 4, 18), 0.0004, settings=grain, **shine)
    stage.box("table", (2.4, 1.5, 0.04), (0, 0.35, -0.02), wood, 0.006)
    wall = textured("wall", "Noise", [(0.3, (0.02, 0.03, 0.07)), (0.7, (0.05, 0.05, 0.1))], 1.2, Roughness=0.9)
    stage.box("wall", (12, 0.1, 6), (0, 5.2, 1), wall, 0)

    # lamps
    stage.lamp("key", "AREA", (-0.55, -0.35, 0.6), (0, 0, 0.02), 8, (1, 0.8, 0.58), size=0.5)
    stage.lamp("rim", "AREA", (0.7, 0.6, 0.4), (0.05, 0.05, 0.02), 5, (0.4, 0.6, 1), size=0.25)


def _things(frames: int) -> None:
    """The row, from near left to far right; a spinning top turns."""
    gold, steel = metal("gold", (1.0, 0.68, 0.27), 0.16), metal("steel", (0.62, 0.63, 0.66), 0.22)
    copper = metal("copper", (0.95, 0.5, 0.35), 0.3)
    veins = [(0.35, (0.78, 0.76, 0.72)), (0.5, (0.3, 0.3, 0.32)), (0.56, (0.8, 0.78, 0.74))]
    marble = textured("marble", "Noise", veins, 45, settings={"Detail": 5.0, "Distortion": 1.5}, Roughness=0.15)
    translucent = {"Subsurface_Weight": 0.6, "Subsurface_Scale": 0.01}
    jade = principled("jade", (0.16, 0.5, 0.28), Roughness=0.22, Coat_Weight=0.4, **translucent)
    ebony = principled("ebony", (0.02, 0.017, 0.015), Roughness=0.22, Coat_Weight=0.5)
    ivory = textured("ivory", "Wave", [(0.0, (0.75, 0.62, 0.42)), (1.0, (0.68, 0.53, 0.33))], 160, Roughness=0.3)
    wax = principled("wax", (0.85, 0.75, 0.6), Roughness=0.4, Subsurface_Weight=0.7, Subsurface_Scale=0.012)

    # the row
    stage.lathe("nut", NUT, (-0.145, -0.145, 0), steel, segments=6)
    for polygon in bpy.data.objects["nut"].data.polygons:
        polygon.use_smooth = False
    _pawn((-0.105, -0.06, 0), ebony)
    _pawn((-0.052, -0.012, 0), gold)
    _monkey((0.006, 0.02, 0.024), jade)
    stage.lathe("vial", VIAL, (0.062, 0.075, 0), glass("amber", (1.0, 0.62, 0.22)))
    stage.lathe("rook", ROOK, (0.112, 0.14, 0), marble)
    _pawn((0.165, 0.23, 0), ivory)
    stage.lathe("rook", ROOK, (0.24, 0.34, 0), copper)

    # beside it: marbles, dice, a candle, a top
    places = (-0.012, -0.075), (0.075, -0.02), (-0.12, 0.06)
    for (x, y), color in zip(places, ((0.6, 0.85, 1.0), (1.0, 0.5, 0.45), (0.6, 1.0, 0.7)), strict=True):
        stage.ball("marble", 0.011, (x, y, 0.011), glass("marble glass", color))
    red = principled("red", (0.55, 0.02, 0.02), Roughness=0.2, Coat_Weight=0.5)
    _die((-0.062, -0.115, 0.009), red, principled("pips", (0.85, 0.85, 0.8), Roughness=0.4), 0.5)
    candle = [(0.019, 0), (0.02, 0.002), (0.02, 0.06), (0.017, 0.062), (0.012, 0.058)]
    flame = [(0.0005, 0), (0.004, 0.006), (0.0035, 0.012), (0.0004, 0.024)]
    stage.lathe("candle", candle, (-0.16, 0.14, 0), wax)
    stage.lathe("flame", flame, (-0.16, 0.14, 0.063), glowing("flame", (1.0, 0.5, 0.15), 25))
    checks = textured("checks", "Checker", [(0.0, (0.03, 0.12, 0.45)), (1.0, (0.85, 0.7, 0.3))], 95, Roughness=0.25)
    top = stage.lathe("top", TOP, (0.115, -0.045, 0), checks, rotation=(radians(9), 0, 0))
    for frame in range(frames + 2):
        top.rotation_euler = (radians(9), 0, radians(9 * frame))
        top.keyframe_insert("rotation_euler", frame=frame)


def _pawn(where: stage.Place, material: bpy.types.Material) -> None:
    """A pawn of a chess game."""
    stage.lathe("pawn", [*PAWN, *stage.ball_profile(0.0105, 0.046)[3:]], where, material)


def _monkey(where: stage.Place, material: bpy.types.Material) -> None:
    """Blender's monkey, 5 cm wide."""
    shape = bmesh.new()
    bmesh.ops.create_monkey(shape)
    bmesh.ops.scale(shape, vec=(0.023,) * 3, verts=shape.verts)
    made = stage.mesh("monkey", [], [], material)
    shape.to_mesh(made)
    shape.free()
    made.polygons.foreach_set("use_smooth", [True] * len(made.polygons))
    thing = stage.place("monkey", made, where, (radians(-8), 0, radians(-14)))
    thing.modifiers.new("subdivision", "SUBSURF").render_levels = 2


def _die(where: stage.Place, material: bpy.types.Material, pips: bpy.types.Material, turn: float) -> None:
    """A die of 18 mm; five pips on its top and on its front."""
    die = stage.box("die", (0.018,) * 3, where, material, 0.002, (0, 0, turn))
    for u, v in ((0, 0), (1, 1), (1, -1), (-1, 1), (-1, -1)):
        for spot in ((0.005 * u, 0.005 * v, 0.009), (0.005 * u, -0.009, 0.005 * v)):
            stage.ball("pip", 0.0016, spot, pips).parent = die


def _lamps() -> None:
    """Lamps at random in the space behind, in the colors of a town at night."""
    rng = Random(11)
    materials = [glowing("lamp", color, strength) for color in GLOWS for strength in (2.5, 7)]
    for _ in range(LAMPS):
        y = rng.uniform(1.3, 4.6)
        where = (rng.uniform(-0.36, 0.42) * (y + 0.5), y, 0.02 + rng.uniform(-0.06, 0.17) * (y + 0.5))
        stage.ball("lamp", rng.uniform(*SIZES) * y, where, rng.choice(materials))


def _camera(frames: int) -> None:
    """Travels to the right and closer; the focus goes from the golden pawn to the monkey."""

    def path(f: float) -> tuple[stage.Place, stage.Place]:
        return (-0.03 + 0.0024 * f, -0.5 + 0.0018 * f, 0.108 + 0.0014 * f), (0.012 + 0.0009 * f, 0.04, 0.034)

    made = stage.camera(path, frames, lens=60)
    lens = made.data.dof
    lens.use_dof, lens.aperture_fstop, lens.aperture_blades, lens.aperture_rotation = True, 3.6, 7, pi / 9
    for frame in range(frames + 2):
        lens.focus_distance = 0.505 + 0.002 * frame
        lens.keyframe_insert("focus_distance", frame=frame)
