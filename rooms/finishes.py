"""Materials of models: from what a file says about a surface to a material of a scene dictionary.

Files say little: a color, a highlight, an opacity. Their names say more ("chrome", "seat_leather"), so a table of
words comes first. To teach it another material, add a line to FINISHES.
"""

from dataclasses import dataclass

import numpy as np

from rooms.materials import rgb, twosided

DARKEST, BRIGHTEST = 0.01, 0.9  # reflectance; nothing real is beyond, and paths in brighter rooms hardly end
OPAQUE, INVISIBLE = 0.97, 0.02  # opacities from which on, and up to which, a surface counts as such
ALPHAS = (0.05, 0.12, 0.25, 0.5)  # roughness in steps, so that surfaces that reflect alike are few shapes
PAINTED = "white black red blue green yellow grey gray dark paint blanc noir negro"


@dataclass(frozen=True, eq=False)
class Look:
    """A surface as its file describes it.

    color: (3,) linear. image: (H, W, 3) linear float32, which then counts instead of color; None: plain. opacity: in
    [0, 1]. cutout: (H, W) float32, opacity by place, None: the same everywhere. highlight: strength in [0, 1]. alpha:
    GGX roughness. metal: whether the file says that it is one.
    """

    name: str = ""
    color: tuple[float, float, float] = (0.5, 0.5, 0.5)
    image: np.ndarray | None = None
    opacity: float = 1.0
    cutout: np.ndarray | None = None
    highlight: float = 0.0
    alpha: float = 0.3
    metal: bool = False


@dataclass(frozen=True)
class Finish:
    """How a surface reflects. kind: "matt", "coated", "metal", "mirror" or "glass"; alpha: GGX roughness; opacity: in
    [0, 1]."""

    kind: str
    alpha: float = 0.0
    opacity: float = 1.0


# words in a material's name, how it reflects, its color where the name implies one; the first match counts
FINISHES = (
    ("window_pane window_mirror", Finish("glass"), None),
    ("mirror miroir espejo spiegel", Finish("mirror"), None),
    ("fabric cloth cushion pillow sheet tissu wool carpet cotton curtain towel mattress velvet", Finish("matt"), None),
    ("skin hair leaf leaves foliage trunk bark grass soil paper stone rock brick concrete", Finish("matt"), None),
    ("plastic plast", Finish("coated", 0.2), None),
    ("leather cuir cuero", Finish("coated", 0.35), None),
    ("ceramic porcelain enamel marble tile", Finish("coated", 0.08), None),
    ("rubber tire tyre", Finish("coated", 0.5), None),
    ("screen display", Finish("coated", 0.06), None),
    ("glass verre vitre vidrio cristal crystal", Finish("glass"), None),
    ("gold brass laiton", Finish("metal", 0.15), (0.85, 0.6, 0.25)),
    ("copper cuivre bronze", Finish("metal", 0.2), (0.85, 0.5, 0.35)),
    ("chrome chromium", Finish("metal", 0.05), (0.65, 0.65, 0.66)),
    ("steel inox silver argent alum", Finish("metal", 0.2), None),
    ("metal iron zinc", Finish("metal", 0.3), None),
    ("wood bois madera oak pine parquet timber", Finish("coated", 0.3), None),
    ("paint lacquer varnish", Finish("coated", 0.15), None),
)  # fmt: skip


def named(name: str) -> tuple[Finish, tuple[float, float, float] | None] | None:
    """How a surface of this name reflects, and its color if the name implies one; None if no word matches."""
    for words, finish, color in FINISHES:
        if any(word in name.lower() for word in words.split()):
            return finish, color
    return None


def finish_of(look: Look) -> tuple[Finish, tuple[float, float, float]]:
    """How a surface reflects, and its color (3,): by its name, else by its numbers."""
    # by name, else by numbers
    bright, painted = max(look.color), any(word in look.name.lower() for word in PAINTED.split())
    black_metal = bright < 0.02 and look.highlight > 0.4 and not painted and look.image is None
    by_numbers = Finish("coated", look.alpha) if look.highlight > 0.02 else Finish("matt"), None
    if look.metal or black_metal:
        by_numbers = Finish("metal", look.alpha), None if look.metal else (look.highlight,) * 3
    finish, color = named(look.name) or by_numbers
    color = color or look.color

    # names mislead where a surface is painted, printed or dark
    if finish.kind == "metal" and not look.metal and (painted or look.image is not None):
        finish, color = Finish("coated", max(finish.alpha, 0.15)), look.color
    if finish.kind == "glass" and look.opacity > OPAQUE and (bright < 0.05 or look.image is not None):
        finish = Finish("coated", 0.06)
    if finish.kind in ("mirror", "metal") and look.image is None:
        color = tuple(max(c, 0.5 * c / max(*color, 1e-3)) for c in color) if max(color) > 0.02 else (0.5,) * 3

    # what is clear is glass, except cloth, leaves and the like
    if look.opacity < 0.7 and finish.kind == "coated" and look.image is None and look.cutout is None:
        finish = Finish("glass")
    if finish.kind == "glass":
        share = min(look.opacity, 0.5)
        return finish, tuple(1 - share * (1 - min(c, 1.0)) for c in color)
    opacity = 1.0 if look.opacity > OPAQUE else round(look.opacity, 2)
    alpha = min(ALPHAS, key=lambda step: abs(np.log(step / max(finish.alpha, 1e-3))))
    return Finish(finish.kind, alpha if finish.kind in ("coated", "metal") else 0.0, opacity), color


def visible(look: Look) -> bool:
    """Whether anything of a surface can be seen; clear glass can."""
    return look.opacity > INVISIBLE or finish_of(look)[0].kind == "glass"


def plain(color) -> dict:
    """A color (3,), linear, as a scene dictionary, within what surfaces reflect."""
    return rgb(np.clip(color, DARKEST, BRIGHTEST))


def printed(image: np.ndarray, **more) -> dict:
    """An image (H, W, 3), linear, as a texture, within what surfaces reflect; more: further entries."""
    image = np.clip(image, DARKEST, BRIGHTEST).astype(np.float32)
    return {"type": "bitmap", "image": image, "repeat": (1, 1), **more}


def bsdf_of(finish: Finish, reflectance: dict, cutout: np.ndarray | None = None) -> dict:
    """The material; reflectance: of `plain` or `printed`, of glass its tint; cutout: opacity by place (H, W)."""
    # surface
    if finish.kind == "glass":
        return {"type": "thindielectric", "int_ior": 1.5, "specular_transmittance": reflectance}
    rough = {"alpha": finish.alpha, "distribution": "ggx"}
    if finish.kind == "matt":
        bsdf = {"type": "diffuse", "reflectance": reflectance}
    elif finish.kind == "coated":
        bsdf = {"type": "roughplastic", "diffuse_reflectance": reflectance, "nonlinear": True, **rough}
    elif finish.kind == "metal":
        bsdf = {"type": "roughconductor", "material": "none", "specular_reflectance": reflectance, **rough}
    else:
        bsdf = {"type": "conductor", "material": "none", "specular_reflectance": reflectance}

    # what is cut out of it
    if cutout is None and finish.opacity == 1:
        return twosided(bsdf)
    opacity = finish.opacity
    if cutout is not None:
        image = np.ascontiguousarray(np.repeat((cutout * finish.opacity)[..., None], 3, 2), np.float32)
        opacity = {"type": "bitmap", "image": image, "repeat": (1, 1)}
    return {"type": "mask", "opacity": opacity, "bsdf": twosided(bsdf)}
