"""A living room with a window and lamps, and a figure that walks through it, waving."""

from math import cos, pi, radians, sin
from random import Random

import bpy

from benchmarks.cycles import stage
from benchmarks.cycles.body import figure
from benchmarks.cycles.materials import glass, glowing, metal, principled, textured, tiled

WIDTH, BACK, FRONT, HEIGHT = 3.2, 3.0, -4.2, 2.8  # walls at x = +-WIDTH, y = BACK and FRONT
WINDOW = (-0.9, 1.1, 0.85, 2.35)  # y and z in the left wall


def build(frames: int) -> bpy.types.Scene:
    """The scene, with keys for so many frames."""
    scene = stage.new_scene()
    _room()
    _light()
    _sofa()
    _table()
    _shelf()
    _details()
    figure(_clothes(), (0.75, 0.25, 0.02), radians(-62), frames)

    def path(f: float) -> tuple[stage.Place, stage.Place]:
        return (0.75 - 0.035 * f, -3.5 + 0.02 * f, 1.45 + 0.018 * f), (0.05 - 0.012 * f, 0.6, 1.02 + 0.004 * f)

    stage.camera(path, frames, lens=27)
    return scene


def _clothes() -> dict[str, bpy.types.Material]:
    """What the figure wears; patterns in undeformed coordinates, so that they move with the cloth."""
    stripes = [(0.0, (0.55, 0.05, 0.04)), (0.45, (0.55, 0.05, 0.04)), (0.55, (0.8, 0.74, 0.62))]
    denim = [(0.35, (0.03, 0.05, 0.12)), (0.65, (0.08, 0.13, 0.26))]
    brown = [(0.3, (0.015, 0.01, 0.006)), (0.7, (0.06, 0.035, 0.02))]
    translucent = {"Subsurface_Weight": 0.25, "Subsurface_Radius": (0.02, 0.008, 0.004)}
    return {
        "shirt": textured("shirt", "Wave", stripes, 4.5, 0, True, {"bands_direction": "Z"}, Roughness=0.9),
        "trousers": textured("denim", "Noise", denim, 60, 0, True, Roughness=0.95),
        "skin": principled("skin", (0.62, 0.36, 0.26), Roughness=0.5, **translucent),
        "shoes": principled("leather", (0.05, 0.03, 0.02), Roughness=0.35, Coat_Weight=0.3),
        "hair": textured("hair", "Noise", brown, (60, 60, 6), 0, True),
        "eyes": principled("eyes", (0.01, 0.01, 0.01), Roughness=0.1),
    }


def _room() -> None:
    """Floor, ceiling and walls; a window in the left one."""
    browns = (0.30, 0.15, 0.07), (0.42, 0.23, 0.11)
    planks = tiled("parquet", browns, (0.05, 0.025, 0.01), (1.1, 0.14), 0.002, Roughness=0.32)
    plaster = textured("plaster", "Noise", [(0.4, (0.70, 0.66, 0.58)), (0.6, (0.75, 0.72, 0.65))], 9)
    accent = textured("paint", "Noise", [(0.4, (0.10, 0.20, 0.22)), (0.6, (0.13, 0.24, 0.26))], 9)
    white = principled("white paint", (0.8, 0.8, 0.78), Roughness=0.4)
    depth, middle = BACK - FRONT, (BACK + FRONT) / 2
    stage.box("floor", (2 * WIDTH, depth, 0.1), (0, middle, -0.05), planks, 0)
    stage.box("ceiling", (2 * WIDTH, depth, 0.1), (0, middle, HEIGHT + 0.05), white, 0)
    stage.box("back", (2 * WIDTH, 0.1, HEIGHT), (0, BACK + 0.05, HEIGHT / 2), accent, 0)
    stage.box("front", (2 * WIDTH, 0.1, HEIGHT), (0, FRONT - 0.05, HEIGHT / 2), plaster, 0)
    stage.box("right", (0.1, depth, HEIGHT), (WIDTH + 0.05, middle, HEIGHT / 2), plaster, 0)
    stage.box("skirting", (2 * WIDTH, 0.02, 0.09), (0, BACK - 0.01, 0.045), white, 0.006)
    stage.box("skirting", (0.02, depth, 0.09), (WIDTH - 0.01, middle, 0.045), white, 0.006)
    stage.box("skirting", (0.02, depth, 0.09), (-WIDTH + 0.01, middle, 0.045), white, 0.006)

    # left wall: four pieces around the window, its frame, its bars
    near, far, low, high = WINDOW
    x, thick = -WIDTH - 0.1, 0.2
    pieces = (FRONT, near, 0, HEIGHT), (far, BACK, 0, HEIGHT), (near, far, 0, low), (near, far, high, HEIGHT)
    for y0, y1, z0, z1 in pieces:
        stage.box("left", (thick, y1 - y0, z1 - z0), (x, (y0 + y1) / 2, (z0 + z1) / 2), plaster, 0)
    for y in (near, (near + far) / 2, far):
        stage.box("bar", (0.06, 0.05, high - low), (x + 0.05, y, (low + high) / 2), white)
    for z in (low, low + 1.0, high):
        stage.box("bar", (0.06, far - near, 0.05), (x + 0.05, (near + far) / 2, z), white)
    stage.box("sill", (0.3, far - near + 0.2, 0.04), (x + 0.2, (near + far) / 2, low - 0.04), white)


def _light() -> None:
    """Sky and sun through the window, with a portal for the sky; an area lamp; a standard lamp behind the sofa."""
    # daylight
    stage.background((0.42, 0.62, 1.0), 3.2)
    near, far, low, high = WINDOW
    place = (-WIDTH - 0.22, (near + far) / 2, (low + high) / 2)
    stage.lamp("sun", "SUN", (-6, 2.4, 5.2), (0, 0.1, 0.9), 16, (1, 0.82, 0.6), angle=radians(0.8))
    size = {"shape": "RECTANGLE", "size": far - near, "size_y": high - low}
    portal = stage.lamp("portal", "AREA", place, (0, place[1], place[2]), 1, **size)
    portal.data.cycles.is_portal = True
    stage.lamp("ceiling", "AREA", (0.9, -1.2, HEIGHT - 0.06), (0.9, -1.2, 0), 55, (1, 0.86, 0.7), size=0.9)

    # standard lamp
    brass = metal("brass", (0.8, 0.55, 0.25), 0.25)
    stage.lathe("stand", [(0.16, 0), (0.16, 0.015), (0.03, 0.03), (0.012, 0.06), (0.012, 1.5)], (2.5, 2.3, 0), brass)
    shade = glowing("shade", (1.0, 0.62, 0.32), 4)
    stage.lathe("shade", [(0.26, 1.35), (0.255, 1.4), (0.17, 1.68), (0.165, 1.7)], (2.5, 2.3, 0), shade)


def _sofa() -> None:
    """A sofa at the back wall, with cushions."""
    cloth = textured("cloth", "Noise", [(0.3, (0.30, 0.28, 0.25)), (0.7, (0.42, 0.39, 0.35))], 90, Roughness=0.95)
    mustard = textured("mustard", "Checker", [(0.0, (0.62, 0.36, 0.05)), (1.0, (0.45, 0.24, 0.03))], 12, Roughness=0.9)
    teal = textured("teal", "Wave", [(0.3, (0.03, 0.22, 0.22)), (0.7, (0.6, 0.6, 0.5))], 14, Roughness=0.9)
    wood = principled("dark wood", (0.08, 0.04, 0.02), Roughness=0.4)
    stage.box("base", (2.3, 0.9, 0.2), (0.75, 2.4, 0.25), cloth, 0.04)
    stage.box("rest", (2.3, 0.24, 0.62), (0.75, 2.78, 0.58), cloth, 0.08, (radians(-8), 0, 0))
    for side in (-1, 1):
        stage.box("arm", (0.2, 0.92, 0.36), (0.75 + 1.2 * side, 2.4, 0.42), cloth, 0.07)
        stage.box("seat", (1.05, 0.82, 0.2), (0.75 + 0.53 * side, 2.33, 0.44), cloth, 0.06, soft=True)
        stage.box("leg", (0.06, 0.06, 0.16), (0.75 + 1.1 * side, 2.05, 0.08), wood)
    stage.box("cushion", (0.5, 0.2, 0.5), (0.05, 2.48, 0.72), mustard, 0.03, (radians(-18), 0.1, 0.2), soft=True)
    stage.box("cushion", (0.5, 0.2, 0.5), (1.5, 2.48, 0.72), teal, 0.03, (radians(-18), -0.15, -0.2), soft=True)


def _table() -> None:
    """A low glass table on a rug, with a vase, a bowl of oranges and a metal jug."""
    # rug
    red, sand, blue, rust = (0.30, 0.05, 0.04), (0.62, 0.50, 0.34), (0.07, 0.10, 0.20), (0.45, 0.12, 0.07)
    pattern = [(0.0, red), (0.35, sand), (0.5, blue), (0.8, rust)]
    rug = textured("rug", "Voronoi", pattern, 5, settings={"distance": "CHEBYCHEV", "Randomness": 0.0}, Roughness=1.0)
    stage.box("rug", (2.6, 1.7, 0.016), (0.85, 1.0, 0.008), rug, 0.005)

    # table
    stops, grain = [(0.2, (0.28, 0.14, 0.06)), (0.8, (0.45, 0.26, 0.12))], {"Distortion": 6.0, "Detail": 3.0}
    oak = textured("oak", "Wave", stops, (3, 14, 14), settings=grain)
    x, y, top = 1.55, 0.9, 0.44
    stage.box("top", (1.0, 0.6, 0.03), (x, y, top), oak, 0.008)
    for i in (-1, 1):
        for j in (-1, 1):
            stage.box("leg", (0.045, 0.045, top), (x + 0.44 * i, y + 0.25 * j, top / 2), oak)

    # vase, bowl of oranges, jug
    vase = [(0.045, 0), (0.075, 0.05), (0.08, 0.1), (0.04, 0.2), (0.028, 0.25), (0.04, 0.29)]
    stage.lathe("vase", vase, (x - 0.25, y + 0.05, top + 0.017), glass("blue glass", (0.45, 0.75, 0.95)))
    bowl = [(0.05, 0), (0.12, 0.03), (0.15, 0.08), (0.142, 0.08), (0.11, 0.035), (0.02, 0.012)]
    china = principled("china", (0.75, 0.76, 0.8), Coat_Weight=1.0)
    stage.lathe("bowl", bowl, (x + 0.15, y - 0.05, top + 0.017), china)
    peel = textured("peel", "Noise", [(0.0, (0.85, 0.28, 0.02)), (1.0, (0.9, 0.36, 0.03))], 300, Roughness=0.45)
    for angle in range(3):
        where = (x + 0.15 + 0.05 * cos(2.1 * angle), y - 0.05 + 0.05 * sin(2.1 * angle), top + 0.085)
        stage.ball("orange", 0.04, where, peel)
    jug = [(0.05, 0), (0.065, 0.03), (0.055, 0.12), (0.035, 0.16), (0.045, 0.2)]
    stage.lathe("jug", jug, (x + 0.36, y + 0.18, top + 0.017), metal("steel", (0.8, 0.8, 0.82), 0.12))


def _shelf() -> None:
    """A shelf with books at the back wall, left of the sofa."""
    # sides and boards
    rng, stops = Random(3), [(0.2, (0.13, 0.06, 0.03)), (0.8, (0.22, 0.11, 0.055))]
    wood = textured("walnut", "Wave", stops, (14, 14, 3), settings={"Distortion": 5.0})
    x, y, wide, tall = -1.75, BACK - 0.18, 1.3, 1.9
    for side in (-1, 1):
        stage.box("side", (0.03, 0.3, tall), (x + side * wide / 2, y, tall / 2), wood, 0.004)
    levels = [0.08, 0.53, 0.98, 1.43, tall]
    for z in levels:
        stage.box("board", (wide, 0.3, 0.03), (x, y, z), wood, 0.004)

    # books, some of which lean, and a globe
    colors = [(0.45, 0.06, 0.05), (0.05, 0.12, 0.3), (0.6, 0.45, 0.2), (0.08, 0.22, 0.12), (0.6, 0.57, 0.5)]
    colors += [(0.1, 0.1, 0.11)]
    covers = [principled("cover", color, Roughness=0.6) for color in colors]
    for z in levels[:-1]:
        left = x - wide / 2 + 0.03
        while left < x + wide / 2 - rng.choice((0.08, 0.3)):
            thick, height = rng.uniform(0.02, 0.055), rng.uniform(0.22, 0.36)
            lean = rng.choice((0, 0, 0, 0.06))
            where = (left + thick / 2, y - 0.03 + rng.uniform(-0.02, 0.02), z + 0.017 + height / 2)
            stage.box("book", (thick, 0.2, height), where, rng.choice(covers), 0.003, (0, lean, 0))
            left += thick + 0.004 + 0.3 * lean
    globe = textured("globe", "Noise", [(0.48, (0.05, 0.16, 0.4)), (0.52, (0.2, 0.35, 0.1))], 12)
    stage.ball("globe", 0.12, (x + 0.3, y, tall + 0.15), globe)


def _details() -> None:
    """Pictures, a plant, and a curtain beside the window."""
    # pictures
    frame = metal("gilt", (0.75, 0.55, 0.28), 0.35)
    for x, kind, stops in (
        (0.3, "Magic", [(0.2, (0.7, 0.3, 0.1)), (0.5, (0.85, 0.75, 0.55)), (0.8, (0.1, 0.25, 0.35))]),
        (1.3, "Voronoi", [(0.0, (0.9, 0.85, 0.7)), (0.4, (0.6, 0.15, 0.1)), (0.7, (0.08, 0.08, 0.12))]),
    ):
        stage.box("frame", (0.72, 0.05, 0.56), (x, BACK - 0.025, 1.72), frame, 0.015)
        stage.box("canvas", (0.62, 0.02, 0.46), (x, BACK - 0.045, 1.72), textured("canvas", kind, stops, 5), 0)

    # plant
    clay = textured("clay", "Noise", [(0.4, (0.36, 0.13, 0.07)), (0.6, (0.45, 0.18, 0.09))], 40)
    leaf = principled("leaf", (0.05, 0.17, 0.04), Roughness=0.35)
    x, y = -2.6, 1.75
    pot = [(0.13, 0), (0.18, 0.28), (0.2, 0.29), (0.2, 0.34), (0.17, 0.34), (0.165, 0.28)]
    stage.lathe("pot", pot, (x, y, 0), clay)
    rng = Random(5)
    points, faces = [], []
    for _ in range(46):
        turn, lean, long = rng.uniform(0, 2 * pi), rng.uniform(0.1, 1.15), rng.uniform(0.45, 0.95)
        start = len(points)
        for step in range(7):
            t = step / 6
            out, up = long * sin(lean * t * 1.4) * t, long * t * cos(lean * t * 1.1)
            wide = 0.05 * sin(pi * min(1, t + 0.08)) + 0.004
            for half in (-wide, wide):
                x0, y0 = out * cos(turn) - half * sin(turn), out * sin(turn) + half * cos(turn)
                points.append((x0, y0, 0.3 + up))
        faces += [(start + 2 * s, start + 2 * s + 1, start + 2 * s + 3, start + 2 * s + 2) for s in range(6)]
    stage.place("plant", stage.mesh("plant", points, faces, leaf, smooth=True), (x, y, 0))

    # curtain: folds that hang from a rod
    linen = textured("linen", "Noise", [(0.3, (0.55, 0.45, 0.33)), (0.7, (0.66, 0.56, 0.42))], 80, 0, Roughness=1.0)
    for y0, y1 in ((-1.3, -0.85), (1.05, 1.5)):
        folds = [(0.05 * sin(column * 1.1), y0 + (y1 - y0) * column / 40) for column in range(41)]
        points = [(*fold, z) for z in (0.05, 2.5) for fold in folds]
        faces = [(c, c + 1, c + 42, c + 41) for c in range(40)]
        stage.place("curtain", stage.mesh("curtain", points, faces, linen, smooth=True), (-WIDTH + 0.12, 0, 0))
    stage.lathe("rod", [(0.015, -1.5), (0.015, 1.5)], (-WIDTH + 0.12, 0.1, 2.5), frame, rotation=(pi / 2, 0, 0))
