"""Images for procedural rooms: stripes, checks, noise, wood, marble, tiles, fabric, pictures and skies.

A pattern takes a random generator and a palette (N, 3) of linear colors in [0, 1], and returns an image
(SIZE, SIZE, 3) of linear reflectance in [0, 1], float32. All but `picture` repeat without a seam. Arrays are indexed
(v, u). To add a pattern, enter it in PATTERNS.
"""

from collections.abc import Callable

import numpy as np

SIZE = 256  # pixels, both ways


AXIS = (np.arange(SIZE) + 0.5) / SIZE  # texel centers along u or v, (SIZE,) in [0, 1)


def grid() -> tuple[np.ndarray, np.ndarray]:
    """Texel centers (v, u) in [0, 1), each (SIZE, SIZE)."""
    return np.meshgrid(AXIS, AXIS, indexing="ij")


def smooth_noise(rng: np.random.Generator, cells_v: int, cells_u: int) -> np.ndarray:
    """Periodic value noise (SIZE, SIZE) in [0, 1] with this many cells along v and u, smoothly interpolated."""

    def interpolated(values: np.ndarray, cells: int) -> np.ndarray:
        """Rows (cells, N) of values at AXIS: (SIZE, N)."""
        cell = np.floor(AXIS * cells).astype(int)
        t = (AXIS * cells - cell)[:, None]
        t = t * t * (3 - 2 * t)
        return values[cell % cells] * (1 - t) + values[(cell + 1) % cells] * t

    along_u = interpolated(rng.random((cells_v, cells_u)).T, cells_u).T  # (cells_v, SIZE)
    return interpolated(along_u, cells_v)


def fractal_noise(rng: np.random.Generator, cells: int = 4, octaves: int = 5, stretch: int = 1) -> np.ndarray:
    """Periodic noise (SIZE, SIZE) in [0, 1]: octaves of half the size and weight each; stretch: factor along v."""
    total = sum(
        smooth_noise(rng, max(1, cells * 2**i // stretch), min(SIZE // 2, cells * 2**i)) / 2**i for i in range(octaves)
    )
    return (total - total.min()) / max(np.ptp(total), 1e-9)


def blend(a: np.ndarray, b: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """An image (SIZE, SIZE, 3) from color a (3,) where weight (SIZE, SIZE) is 0 to color b (3,) where it is 1."""
    return (a + (b - a) * weight[..., None]).astype(np.float32)


def two(rng: np.random.Generator, palette: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Two different colors of the palette."""
    a, b = rng.choice(len(palette), 2, replace=False)
    return palette[a], palette[b]


def stripes(rng: np.random.Generator, palette: np.ndarray) -> np.ndarray:
    """Stripes of random colors and widths, along u or v."""
    edges = np.sort(rng.choice(np.arange(1, 32), rng.integers(2, 9), replace=False))
    v, u = grid()
    index = np.searchsorted(edges, (u if rng.random() < 0.5 else v) * 32) % len(edges)
    return palette[rng.integers(0, len(palette), len(edges))][index].astype(np.float32)


def checks(rng: np.random.Generator, palette: np.ndarray) -> np.ndarray:
    """A slightly worn checkerboard."""
    count = 2 * int(rng.integers(1, 7))
    v, u = grid()
    even = (np.floor(v * count) + np.floor(u * count)) % 2
    return blend(*two(rng, palette), even) * (0.75 + 0.25 * fractal_noise(rng)[..., None]).astype(np.float32)


def clouds(rng: np.random.Generator, palette: np.ndarray) -> np.ndarray:
    """Soft noise between two colors: plaster, concrete, stained cloth."""
    return blend(*two(rng, palette), fractal_noise(rng, int(rng.integers(2, 12))))


def wood(rng: np.random.Generator, palette: np.ndarray) -> np.ndarray:
    """Boards along v, each of its own shade, with grain and dark gaps."""
    # boards and grain
    boards = int(rng.integers(1, 9))
    _, u = grid()
    board = np.floor(u * boards).astype(int)
    warp = fractal_noise(rng, 4, 3, stretch=4)
    grain = 0.5 + 0.5 * np.sin(2 * np.pi * (u * boards * rng.integers(1, 4) + 2.5 * warp))
    grain = 0.55 * grain + 0.45 * fractal_noise(rng, 32, 3, stretch=16)

    # color
    brown = np.array([0.42, 0.22, 0.10]) * rng.uniform(0.3, 1.6) + 0.1 * palette[0]
    image = blend(0.45 * brown, brown, grain) * rng.uniform(0.6, 1.15, boards)[board][..., None]
    image[np.abs(u * boards - np.round(u * boards)) < 0.012 * boards / 2] *= 0.35
    return np.clip(image, 0, 1).astype(np.float32)


def marble(rng: np.random.Generator, palette: np.ndarray) -> np.ndarray:
    """A light stone with darker veins."""
    veins = np.abs(np.sin(np.pi * (2 * grid()[1] + rng.uniform(2, 5) * fractal_noise(rng, 3, 6))))
    light = 0.55 + 0.4 * palette[0]
    return blend(light * rng.uniform(0.2, 0.6), np.clip(light, 0, 1), veins ** rng.uniform(0.2, 0.6))


def tiles(rng: np.random.Generator, palette: np.ndarray) -> np.ndarray:
    """Tiles, each of its own shade, with joints; bricks where every second row is shifted."""
    # which tile
    rows, columns = int(rng.choice([2, 4, 8, 12])), int(rng.choice([2, 4, 6]))
    v, u = grid()
    row = np.floor(v * rows).astype(int)
    across = (u * columns + (row % 2) * rng.choice([0.0, 0.5])) % columns

    # color and joints
    shade = rng.uniform(0.6, 1.1, (rows, columns))[row, np.floor(across).astype(int)]
    base, joint = two(rng, palette)
    image = np.clip(base * shade[..., None], 0, 1) * (0.8 + 0.2 * fractal_noise(rng, 16)[..., None])
    gap = 0.02 * rng.uniform(0.5, 2)
    is_joint = (np.abs(v * rows - np.round(v * rows)) < gap * rows / 2) | (
        np.abs(across - np.round(across)) < gap * columns / 2
    )
    return np.where(is_joint[..., None], joint * 0.7, image).astype(np.float32)


def fabric(rng: np.random.Generator, palette: np.ndarray) -> np.ndarray:
    """Tartan: crossing bands and a fine weave."""
    v, u = grid()
    image = np.zeros((SIZE, SIZE, 3))
    for position in (u, v):
        edges = np.sort(rng.choice(np.arange(1, 24), 5, replace=False))
        image += palette[rng.integers(0, len(palette), 5)][np.searchsorted(edges, position * 24) % 5] / 2
    weave = 0.85 + 0.15 * np.sign(np.sin(2 * np.pi * 64 * u) * np.sin(2 * np.pi * 64 * v))
    return (image * weave[..., None]).astype(np.float32)


def speckles(rng: np.random.Generator, palette: np.ndarray) -> np.ndarray:
    """Terrazzo: many small spots of other colors."""
    image = np.broadcast_to(palette[0], (SIZE, SIZE, 3)).copy()
    for _ in range(int(rng.integers(30, 160))):
        center, radius = rng.random(2), rng.uniform(0.01, 0.05)
        dv, du = (np.minimum(d, 1 - d) ** 2 for d in np.abs(AXIS - center[:, None]))  # (SIZE,) each
        near = dv[:, None] * rng.uniform(0.5, 2) + du < radius**2
        image[near] = palette[rng.integers(1, len(palette))]
    return image.astype(np.float32)


def picture(rng: np.random.Generator, palette: np.ndarray) -> np.ndarray:
    """A picture to hang up: perhaps layered hills, overlapping ellipses and bars, perhaps lines of writing."""
    # background and hills
    v, u = grid()
    image = blend(*two(rng, palette), v)
    if rng.random() < 0.5:
        for layer in range(4):
            height = 0.35 + 0.15 * layer + 0.2 * (fractal_noise(rng, 3, 5)[0] - 0.5)
            image[v > height[None, :]] = palette[rng.integers(0, len(palette))] * rng.uniform(0.4, 1)

    # ellipses and bars
    for _ in range(int(rng.integers(2, 10))):
        center, size = rng.random(2), rng.uniform(0.04, 0.3, 2)
        inside = np.stack([(v - center[0]) / size[0], (u - center[1]) / size[1]])
        shape = (inside**2).sum(0) < 1 if rng.random() < 0.5 else np.abs(inside).max(0) < 1
        image[shape] = palette[rng.integers(0, len(palette))] * rng.uniform(0.5, 1)

    # writing
    if rng.random() < 0.4:
        lines = (v * 24 % 1 < 0.4) & (v > 0.6) & (np.abs(u - 0.5) < 0.4) & (smooth_noise(rng, 24, 64) > 0.4)
        image[lines] *= 0.1
    return np.clip(image, 0, 1).astype(np.float32)


PATTERNS: tuple[Callable, ...] = (stripes, checks, clouds, wood, marble, tiles, fabric, speckles)
RUGS = (fabric, stripes, checks, speckles)


def sky(rng: np.random.Generator, sun: tuple[float, float] | None) -> np.ndarray:
    """An environment map, (SIZE // 2, SIZE, 3) linear radiance, y up: a gradient, clouds, ground, perhaps a sun.

    sun: (azimuth, elevation) in radians, azimuth from -z toward +x; column 0 is azimuth 0, as in Mitsuba's `envmap`.
    """
    # sky and ground
    v = ((np.arange(SIZE // 2) + 0.5) / (SIZE // 2))[:, None, None]
    zenith = np.array([0.25, 0.45, 0.9]) * rng.uniform(0.4, 1.5)
    horizon = np.array([0.9, 0.85, 0.8]) * rng.uniform(0.6, 1.5) * rng.uniform([0.9, 0.7, 0.5], [1.3, 1.1, 1.1])
    cover = fractal_noise(rng, 4, 5)[: SIZE // 2, :, None] ** 2 * rng.uniform(0, 1.5)
    ground = np.broadcast_to(rng.uniform(0.05, 0.3, 3), (SIZE // 2, SIZE, 3))
    image = np.where(v < 0.5, zenith + (horizon - zenith) * (2 * v) ** 3 + cover, ground)

    # sun, 2x2 pixels
    if sun:
        row = int((0.5 - sun[1] / np.pi) * SIZE / 2)
        columns = (int(sun[0] / (2 * np.pi) * SIZE) + np.arange(2)) % SIZE
        image[row : row + 2, columns] = rng.uniform([0.9, 0.7, 0.4], [1.0, 1.0, 0.9]) * 10 ** rng.uniform(3.0, 4.2)
    return image.astype(np.float32)
