"""What procedural scenes are furnished with besides the grammar's own things: models, skies, motion."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Stock:
    """Folders, and how often things move; see render.py's options of these names.

    assets: folder of artists' models; environments: folder of HDR environment maps, None: procedural skies;
    licenses: of the models, as the catalogue writes them, empty: any; moving: share of scenes in which something moves
    by itself, in [0, 1].
    """

    assets: str
    environments: str | None = None
    licenses: tuple[str, ...] = ()
    moving: float = 0.0
