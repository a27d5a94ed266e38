"""The materials of the made-up rooms, as Mitsuba dictionaries that render.py loads.

Two kinds of values are ours and become Mitsuba's there: an image (H, W, 3) under `image`, and a Mesh under `mesh`.
Colours are linear reflectance in [0, 1].
"""

import colorsys
from dataclasses import dataclass, field

import numpy as np

from rooms import textures

METALS = ("Au", "Cu", "Al", "Cr", "Ag", "W")
BLACK = {"type": "diffuse", "reflectance": {"type": "rgb", "value": [0.0, 0.0, 0.0]}}  # lamps: they reflect nothing


def make_palette(rng: np.random.Generator) -> np.ndarray:
    """(6, 3) colours that go together: around one or two hues, from pale to deep; a grey and a white among them."""
    hue, other = rng.random(), rng.random()
    colours = [[rng.uniform(0.65, 0.9)] * 3, [10 ** rng.uniform(-2, -0.5)] * 3]
    for _ in range(4):
        tone = (hue if rng.random() < 0.65 else other) + rng.normal(0, 0.03)
        colours.append(colorsys.hsv_to_rgb(tone % 1, rng.beta(1.2, 2.2), rng.uniform(0.15, 0.95)))
    return np.clip(np.array(colours), 0.004, 0.93)


@dataclass
class Style:
    """What the things of one room have in common: its random generator, palette, and a few materials used again.

    brightness: the factor on every light of the room; scenes differ in unit and exposure.
    """

    rng: np.random.Generator
    palette: np.ndarray = field(init=False)

    def __post_init__(self):
        self.brightness = 10 ** self.rng.uniform(0.4, 1.6)
        self.palette = make_palette(self.rng)
        self.timber = self.coated(self.texture(textures.wood))
        self.metal = conductor(self.rng)
        self.paint = self.coated(self.colour())
        self.cloth = self.matt(self.texture(self.pick([textures.fabric, textures.clouds, textures.stripes]), 2))

    def pick(self, choices: list, weights: list[float] | None = None):
        """One of `choices`."""
        p = None if weights is None else np.array(weights) / sum(weights)
        return choices[self.rng.choice(len(choices), p=p)]

    def chance(self, probability: float) -> bool:
        """True that often."""
        return bool(self.rng.random() < probability)

    def colour(self) -> dict:
        """A plain colour of the palette, now and then one of its own."""
        value = self.palette[self.rng.integers(len(self.palette))]
        if self.chance(0.2):
            value = colorsys.hsv_to_rgb(self.rng.random(), self.rng.uniform(0.3, 1), self.rng.uniform(0.1, 0.9))
        return {"type": "rgb", "value": [float(c) for c in value]}

    def pale(self) -> dict:
        """What walls are painted with: mostly nearly white, else a colour of the palette."""
        if self.chance(0.2):
            return self.colour()
        hue, saturation = self.rng.random(), self.rng.beta(1, 8)
        return {"type": "rgb", "value": list(colorsys.hsv_to_rgb(hue, saturation, self.rng.uniform(0.55, 0.93)))}

    def texture(self, pattern=None, repeat: float = 1.0, repeat_v: float | None = None) -> dict:
        """An image of this pattern (any, if None), repeated that often across a surface."""
        pattern = pattern or self.pick(list(textures.PATTERNS))
        image = pattern(self.rng, self.palette[self.rng.permutation(len(self.palette))])
        return {"type": "bitmap", "image": image, "repeat": (repeat, repeat if repeat_v is None else repeat_v)}

    def matt(self, reflectance: dict) -> dict:
        """Lambertian, both sides."""
        return twosided({"type": "diffuse", "reflectance": reflectance})

    def coated(self, reflectance: dict) -> dict:
        """Varnish, paint or plastic: a diffuse base below a rough, seldom a smooth, dielectric coat."""
        if self.chance(0.15):
            return twosided({"type": "plastic", "diffuse_reflectance": reflectance, "nonlinear": True})
        rough = {"alpha": float(10 ** self.rng.uniform(-1.5, -0.3)), "distribution": "ggx", "nonlinear": True}
        return twosided({"type": "roughplastic", "diffuse_reflectance": reflectance, **rough})

    def solid(self) -> dict:
        """What a piece of furniture is made of."""
        kinds = [lambda: self.timber, lambda: self.paint, lambda: self.coated(self.colour())]
        kinds += [lambda: self.matt(self.colour()), lambda: self.coated(self.texture()), lambda: self.metal]
        return self.pick(kinds, [4, 2, 2, 2, 1.5, 0.6])()

    def ornament(self) -> dict:
        """What a small thing is made of."""
        kinds = [lambda: self.coated(self.colour()), lambda: self.matt(self.colour()), lambda: conductor(self.rng)]
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
    """Clear glass; for closed bodies."""
    return {"type": "dielectric", "int_ior": 1.5}


def mirror() -> dict:
    """A perfect mirror."""
    return twosided({"type": "conductor", "material": "none"})


def emitter(colour: np.ndarray, radiance: float) -> dict:
    """An area light of this colour, (3,), brought to this mean radiance."""
    value = np.asarray(colour) / np.mean(colour) * radiance
    return {"type": "area", "radiance": {"type": "rgb", "value": [float(c) for c in value]}}


def light_colour(style: Style) -> np.ndarray:
    """(3,): from candle to daylight; seldom a saturated colour."""
    if style.chance(0.15):
        return np.array(colorsys.hsv_to_rgb(style.rng.random(), style.rng.uniform(0.5, 0.9), 1.0)) + 0.02
    warm, cold = np.array([1.0, 0.55, 0.2]), np.array([0.8, 0.9, 1.0])
    return warm + (cold - warm) * style.rng.beta(1.5, 1.0)
