"""Denoises a folder of numbered EXR frames into another folder, under the same names; other channels stay as they are.

Shapes: C input channels, H rows, W columns.
"""

import argparse
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import chain, pairwise
from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm

from files import InputError
from frames.channels import QUANTITIES
from frames.exr import MISS_DEPTH, Header, read_header, read_pixels, replace_channels, report_invalid
from frames.layers import Channels, Layout, find_layout
from frames.shots import Shot, find_shots
from inference.conventions import Convention, Pair, candidates, decide, parse_convention, turned_back
from inference.engines import choose_device, choose_dtype, fast_step, prepare
from inference.threads import BackgroundCalls, prefetch
from model import Denoiser, denoise
from networks.filtering import FilteringDenoiser

PAIRS = 4  # of successive frames, at most, that decide what motion means

Motion = tuple[Channels, Convention] | None  # the channels of motion, and what they mean; None: it is estimated


def check_headers(shots: list[Shot], inputs: tuple[str, ...], layer: str | None, also: list[str]) -> dict[str, Layout]:
    """The layout of each shot, by its name, from the shot's first file.

    Raises InputError if a file lacks what is needed, or channels or the data window of the shot's first file.
    """
    files = [file for shot in shots for file in shot.files]
    with ThreadPoolExecutor() as pool:
        reading = tqdm(pool.map(read_header, files), total=len(files), desc="reading headers", delay=2, leave=False)
        headers = dict(zip(files, reading, strict=True))
    layouts, first = {}, {}
    for shot in shots:
        for header in (headers[file] for file in shot.files):
            if shot.name not in layouts:
                layouts[shot.name], first[shot.name] = find_layout(header, inputs, layer, also), header
            check_header(header, first[shot.name], layouts[shot.name])
    return layouts


def check_header(header: Header, first: Header, layout: Layout) -> None:
    """Raises InputError unless the file has the channels of `layout` and the data window of its shot's first file."""
    written = {channel for color in layout.colors for channel in color.result}
    lacking = sorted({*layout.read, *written} - set(header.channels))
    if lacking:
        raise InputError(f"{header.path}: no {', '.join(lacking)}, but {first.path.name} has; render it again")
    if header.window != first.window:
        raise InputError(
            f"{header.path}: data window {header.window}, but {first.path.name} has {first.window}; "
            "render all frames of a shot at one resolution, without cropping to what is visible"
        )


def stacked(pixels: dict[str, np.ndarray], channels: Channels, path: Path) -> np.ndarray:
    """These channels, (C, H, W) float32. Raises InputError where one has no pixels of the data window's size."""
    planes = [pixels[channel] for channel in channels]
    for channel, plane in zip(channels, planes, strict=True):
        if plane is None or plane.shape != planes[0].shape:
            raise InputError(f"{path}: {channel} has no pixels of the frame's size (subsampled or deep channels)")
    return np.stack(planes, dtype=np.float32)


def read_surface(pixels: dict[str, np.ndarray], layout: Layout, name: str, path: Path) -> np.ndarray:
    """Depth, normal or albedo, (C, H, W): depth 0 where nothing is hit, positive whatever its sign in the file."""
    if name not in layout.surface:
        height, width = pixels[layout.colors[0].source[0]].shape
        return np.full((QUANTITIES[name].count, height, width), QUANTITIES[name].missing, np.float32)
    planes = stacked(pixels, layout.surface[name], path)
    if name == "depth":
        planes = np.abs(planes)
        planes[planes >= MISS_DEPTH] = 0  # infinity, too
    return planes


def read_frames(shot: Shot, layout: Layout, inputs: tuple[str, ...], motion: Motion) -> Iterator[torch.Tensor]:
    """Loads each frame of a shot, (C, H, W): the quantities `inputs`, then the further colors.

    NaN and Inf become 0 and are reported on stderr. Where one color has any, the pixel becomes 0 in all of them, so
    that they still add up.
    """
    before = None
    for path in shot.files:
        _, pixels = read_pixels(path)
        beauty, *further = (stacked(pixels, color.source, path) for color in layout.colors)
        planes = {name: read_surface(pixels, layout, name, path) for name in inputs if name not in ("color", "motion")}
        planes["color"] = beauty
        # motion to the frame before
        if "motion" in inputs:
            moved = np.full((2, *beauty.shape[1:]), QUANTITIES["motion"].missing, np.float32)
            if motion:
                channels, convention = motion
                vectors = convention.pixels(stacked(pixels, channels, path))
                if convention.leads == "previous":
                    moved = vectors
                elif before is not None:
                    moved = turned_back(*before)
                before = vectors, planes["depth"][0]
            planes["motion"] = moved
        # one tensor, finite
        stack = np.concatenate([*(planes[name] for name in inputs), *further])  # (C, H, W)
        invalid = ~np.isfinite(stack)
        count = int(np.count_nonzero(invalid))
        if count:
            stack[invalid] = 0
            colors = np.concatenate([beauty, *further])
            stack[[*range(3), *range(len(stack) - 3 * len(further), len(stack))]] *= np.isfinite(colors).all(0)
        report_invalid(path, count)
        yield torch.from_numpy(stack)


def choose_motion(text: str, layouts: dict[str, Layout], shots: list[Shot]) -> Motion:
    """What --motion says or, if it is `auto`, what the frames say; a line on stdout tells which and why.

    Raises InputError if the option is unusable or asks for motion that the frames do not have.
    """
    found = {layout.motion for layout in layouts.values()}
    layers = found.pop() if len(found) == 1 else ()
    if text == "none":
        return None
    if text != "auto":
        convention = parse_convention(text)
        for channels, leads in layers:
            if leads in ("", convention.leads):
                return channels, convention
        raise InputError(f"--motion {text}: no such motion in every frame; use auto or none")
    if not layers:
        print("motion: none in the frames; estimated from depth, normals and albedo")
        return None

    # a few pairs of frames, from all over
    pairs = [(shot, pair) for shot in shots for pair in pairwise(shot.files)]
    if not pairs:
        return None
    pairs = [pairs[round(index)] for index in np.linspace(0, len(pairs) - 1, min(PAIRS, len(pairs)))]
    loaded = [load_pair(files, layouts[shot.name], layers) for shot, files in pairs]
    tried = [(candidates(leads), [pair[index] for pair in loaded]) for index, (_, leads) in enumerate(layers)]
    verdict = decide(tried)
    channels = layers[verdict.layer][0]
    if verdict.convention is None:
        print(f"motion: {verdict.reason}; not used, but estimated from depth, normals and albedo; --motion overrides")
        return None
    print(f"motion: {' '.join(channels)} as {verdict.convention} ({verdict.reason}); --motion overrides")
    return channels, verdict.convention


def load_pair(files: tuple[Path, Path], layout: Layout, layers: tuple[tuple[Channels, str], ...]) -> list[Pair]:
    """Two successive frames with each layer of vectors."""
    surfaces, vectors = [], [[] for _ in layers]
    for path in files:
        _, pixels = read_pixels(path)
        planes = [read_surface(pixels, layout, name, path) for name in ("depth", "normal", "albedo")]
        surfaces.append(torch.from_numpy(np.nan_to_num(np.concatenate(planes), posinf=0, neginf=0)))
        for found, (channels, _) in zip(vectors, layers, strict=True):
            found.append(stacked(pixels, channels, path))
    return [Pair(tuple(surfaces), tuple(found)) for found in vectors]


def write_frame(source: Path, folder: Path, layout: Layout, image: np.ndarray) -> None:
    """Writes a copy of the frame with the denoised colors, (3 L, H, W), under its name into `folder`."""
    channels = chain.from_iterable(color.result for color in layout.colors)
    replace_channels(source, folder / source.name, dict(zip(channels, image, strict=True)))


def denoise_shots(denoiser: Denoiser, options: argparse.Namespace) -> int:
    """Denoises every shot in the folder options.path; returns how many frames it wrote.

    options: of inference.options. Raises InputError or OSError naming the file at fault.
    """
    # what is there, and how it is meant
    if options.output_dir.resolve() == options.path.resolve():
        raise InputError(f"--output_dir {options.output_dir}: holds the frames themselves; choose another folder")
    if options.also and not isinstance(denoiser, FilteringDenoiser):
        raise InputError(
            "--also: this network predicts colors, not kernels; use the filtering one, as the released are"
        )
    shots, notes = find_shots(options.path)
    for note in notes:
        print(note, file=sys.stderr)
    layouts = check_headers(shots, denoiser.inputs, options.layer, options.also)
    for line in dict.fromkeys(line for layout in layouts.values() for line in describe(layout)):
        print(line)
    motion = choose_motion(options.motion, layouts, shots) if "motion" in denoiser.inputs else None

    # reading thread -> network -> writing thread
    device = choose_device(options.device)
    denoiser = prepare(denoiser, device, choose_dtype(options.precision, device))
    step = fast_step(denoiser, options.tile)
    options.output_dir.mkdir(parents=True, exist_ok=True)
    total = sum(len(shot.files) for shot in shots)
    with tqdm(total=total, desc="frames", delay=1) as progress, BackgroundCalls() as writing:
        for shot in shots:
            layout = layouts[shot.name]
            frames = prefetch(read_frames(shot, layout, denoiser.inputs, motion))
            for path, (_, image) in zip(shot.files, denoise(denoiser, frames, step), strict=True):
                writing.call(write_frame, path, options.output_dir, layout, image.numpy())
                progress.update()
    return total


def describe(layout: Layout) -> Iterator[str]:
    """A line for each thing that is read, with the names of its channels."""
    for color in layout.colors:
        into = "" if color.result == color.source else f" -> {' '.join(color.result)}"
        yield f"denoised: {' '.join(color.source)}{into}"
    for name, channels in layout.surface.items():
        yield f"{name}: {' '.join(channels)}"
    for name in (n for n in ("albedo",) if n not in layout.surface):
        yield f"{name}: none in the frames"
