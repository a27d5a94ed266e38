"""Materials of procedural rooms, as scene dictionaries (see rooms/__init__.py for the keys `image` and `repeat`).

Colors are linear reflectance in [0, 1]. To add a material, add a function here and an entry in `Style.solid` or
`Style.ornament`; existing rooms then change.
"""

import colorsys
from dataclasses import dataclass, field

import numpy as np

from rooms import textures

METALS = ("Au", "Cu", "Al", "Cr", "Ag", "W")


def rgb(color) -> dict:
    """A plain color, (3,) linear, as a scene dictionary."""
    return {"type": "rgb", "value": [float(c) for c in color]}


BLACK = {"type": "diffuse", "reflectance": rgb((0, 0, 0))}  # of lamps, which reflect nothing


def make_palette(rng: np.random.Generator) -> np.ndarray:
    """A palette (6, 3) around one or two hues, from pale to dark, with a light and a dark gray."""
    hue, other = rng.random(), rng.random()
    colors = [[rng.uniform(0.65, 0.9)] * 3, [10 ** rng.uniform(-2, -0.5)] * 3]
    for _ in range(4):
        tone = (hue if rng.random() < 0.65 else other) + rng.normal(0, 0.03)
        colors.append(colorsys.hsv_to_rgb(tone % 1, rng.beta(1.2, 2.2), rng.uniform(0.15, 0.95)))
    return np.clip(np.array(colors), 0.004, 0.93)


@dataclass
class Style:
    """What the things in one room share: the random generator, a palette and a few materials.

    brightness: a factor on every light in the room, since real scenes differ in unit and exposure.
    """

    rng: np.random.Generator
    palette: np.ndarray = field(init=False)

    def __post_init__(self):
        self.brightness = 10 ** self.rng.uniform(0.4, 1.6)
        self.palette = make_palette(self.rng)
        self.timber = self.coated(self.texture(textures.wood))
        self.metal = conductor(self.rng)
        self.paint = self.coated(self.color())
        self.cloth = self.matt(self.texture(self.pick([textures.fabric, textures.clouds, textures.stripes]), 2))

    def pick(self, choices, weights: list[float] | None = None):
        """One of `choices`, a sequence or a table of choices and weights.

        weights: how likely each one of a sequence is, in any scale; None: all the same.
        """
        if isinstance(choices, dict):
            choices, weights = list(choices), list(choices.values())
        p = None if weights is None else np.array(weights) / sum(weights)
        return choices[self.rng.choice(len(choices), p=p)]

    def chance(self, probability: float) -> bool:
        """True with this probability."""
        return bool(self.rng.random() < probability)

    def color(self) -> dict:
        """A plain color: mostly from the palette, sometimes any other."""
        value = self.palette[self.rng.integers(len(self.palette))]
        if self.chance(0.2):
            value = colorsys.hsv_to_rgb(self.rng.random(), self.rng.uniform(0.3, 1), self.rng.uniform(0.1, 0.9))
        return rgb(value)

    def pale(self) -> dict:
        """A color for walls: mostly off-white, sometimes from the palette."""
        if self.chance(0.2):
            return self.color()
        hue, saturation = self.rng.random(), self.rng.beta(1, 8)
        return rgb(colorsys.hsv_to_rgb(hue, saturation, self.rng.uniform(0.55, 0.93)))

    def texture(self, pattern=None, repeat: float = 1.0) -> dict:
        """An image; pattern: of textures.py, None for any; repeat: times across a surface, both ways."""
        pattern = pattern or self.pick(textures.PATTERNS)
        image = pattern(self.rng, self.palette[self.rng.permutation(len(self.palette))])
        return {"type": "bitmap", "image": image, "repeat": (repeat, repeat)}

    def rug(self) -> dict:
        """A material for a rug."""
        return self.matt(self.texture(self.pick(textures.RUGS)))

    def matt(self, reflectance: dict) -> dict:
        """A matt (Lambertian) material, the same on both sides."""
        return twosided({"type": "diffuse", "reflectance": reflectance})

    def coated(self, reflectance: dict) -> dict:
        """Varnish, paint or plastic: a diffuse base under a dielectric coat, mostly rough, sometimes smooth."""
        if self.chance(0.15):
            return twosided({"type": "plastic", "diffuse_reflectance": reflectance, "nonlinear": True})
        rough = {"alpha": float(10 ** self.rng.uniform(-1.5, -0.3)), "distribution": "ggx", "nonlinear": True}
        return twosided({"type": "roughplastic", "diffuse_reflectance": reflectance, **rough})

    def solid(self) -> dict:
        """A material for a piece of furniture."""
        kinds = [lambda: self.timber, lambda: self.paint, lambda: self.coated(self.color())]
        kinds += [lambda: self.matt(self.color()), lambda: self.coated(self.texture()), lambda: self.metal]
        return self.pick(kinds, [4, 2, 2, 2, 1.5, 0.6])()

    def ornament(self) -> dict:
        """A material for a small thing."""
        kinds = [lambda: self.coated(self.color()), lambda: self.matt(self.color()), lambda: conductor(self.rng)]
        kinds += [glass, lambda: self.coated(self.texture(repeat=2)), lambda: self.matt(self.texture())]
        return self.pick(kinds, [3, 2, 1.5, 0.8, 1.5, 1])()


def twosided(bsdf: dict) -> dict:
    """The same material on both sides of a surface."""
    return {"type": "twosided", "bsdf": bsdf}


def conductor(rng: np.random.Generator) -> dict:
    """Metal, rough or polished."""
    metal = METALS[rng.integers(len(METALS))]
    if rng.random() < 0.2:
        return twosided({"type": "conductor", "material": metal})
    alpha = float(10 ** rng.uniform(-1.5, -0.35))
    return twosided({"type": "roughconductor", "material": metal, "alpha": alpha, "distribution": "ggx"})


def glass() -> dict:
    """Clear glass, for closed meshes."""
    return {"type": "dielectric", "int_ior": 1.5}


def mirror() -> dict:
    """A perfect mirror."""
    return twosided({"type": "conductor", "material": "none"})
