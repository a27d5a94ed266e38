"""Denoises a folder of numbered EXR frames into another folder, under the same names; other channels stay as they are.

Shapes: C input channels, H rows, W columns; L colors, the beauty and further ones.
"""

import argparse
import sys
from functools import partial
from itertools import chain, groupby, islice
from pathlib import Path

import torch
from tqdm import tqdm

from files import InputError
from frames.channels import MOTION_INPUTS
from frames.exr import Header, read_headers, read_pixels
from frames.exr_writing import check_writable, check_written, replace_channels
from frames.frame_options import choice_of
from frames.layers import Choice, Layout, find_layout
from frames.plausible import believed
from frames.shots import Shot, find_shots
from inference.engines import choose_device, choose_dtype, fast_engine, prepare
from inference.loading import LoadedFrame, reconstruct_loading, warn_of_repetition
from inference.meaning import find_meaning
from inference.reconstruction_options import has_backward_pass
from inference.shot_frames import load_frames
from inference.threads import BackgroundCalls
from model import Denoiser
from networks.repetition import COMPARED


def check_headers(shots: list[Shot], inputs: tuple[str, ...], choice: Choice) -> dict[str, Layout]:
    """The layout of each shot, by its name, from the shot's first file.

    Raises InputError if a file lacks what is needed, or channels or the data window of the shot's first file.
    """
    headers = iter(read_headers([file for shot in shots for file in shot.files]))
    layouts, first = {}, {}
    for shot in shots:
        for header in islice(headers, len(shot.files)):
            if shot.name not in layouts:
                layouts[shot.name], first[shot.name] = find_layout(header, inputs, choice), header
            check_header(header, first[shot.name], layouts[shot.name])
            check_writable(header)
    return {name: believed(*read_pixels(first[name].path), layout) for name, layout in layouts.items()}


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


def write_frame(folder: Path, layout: Layout, frame: LoadedFrame, image: torch.Tensor, verify: bool = False) -> None:
    """Writes a copy of the frame with the denoised colors, (3 L, H, W), under its name into `folder`.

    Where the frame is empty, colors stay as they are: what a filter spreads there would shine without alpha.
    verify: read the file back, and raise InputError if it does not hold what was written.
    """
    further = len(image) - 3
    colors = torch.cat((frame.planes[:3], frame.planes[len(frame.planes) - further :]))
    kept = colors.where(torch.from_numpy(frame.empty), image).numpy()
    channels = chain.from_iterable(color.result for color in layout.colors)
    planes = dict(zip(channels, kept, strict=True))
    destination = folder / frame.source.name
    replace_channels(frame.source, destination, planes)
    if verify:
        check_written(destination, planes)


def denoise_shots(denoiser: Denoiser, options: argparse.Namespace) -> int:
    """Denoises every shot in the folder options.path; returns how many frames it wrote, 0 with --dry_run.

    options: of test.py. Says on stdout what was read from which channels, and what they mean. Raises
    InputError or OSError naming the file at fault.
    """
    # check the options
    if options.output_dir.resolve() == options.path.resolve():
        raise InputError(f"--output_dir {options.output_dir}: holds the frames themselves; choose another folder")
    if options.also and not denoiser.has_history:
        raise InputError("--also: this network predicts colors and not kernels; use weights/default.safetensors")

    # what there is, and what it means
    shots, notes = find_shots(options.path)
    for note in notes:
        print(note, file=sys.stderr)
    layouts = check_headers(shots, denoiser.inputs, choice_of(options))
    meanings = {}
    for name, runs in groupby(shots, lambda shot: shot.name):
        print(options.path if options.path.is_file() else f"{options.path / name}*")
        meanings[name], lines = find_meaning(list(runs), layouts[name], options.motion, options.normals)
        print(*(f"  {line}" for line in lines), sep="\n", flush=True)
        first = next(shot for shot in shots if shot.name == name)
        frames = islice(load_frames(first, layouts[name], MOTION_INPUTS, meanings[name], backward=True), COMPARED)
        warn_of_repetition([frame.planes for frame in frames], first.label)
    if options.dry_run:
        return 0

    # reading thread -> network -> writing thread
    device = choose_device(options.device)
    denoiser = prepare(denoiser, device, choose_dtype(options.precision, device))
    engine = fast_engine(denoiser, options.tile)
    options.output_dir.mkdir(parents=True, exist_ok=True)
    total = sum(len(shot.files) for shot in shots)
    twice = sum(len(shot.files) for shot in shots if has_backward_pass(options, len(shot.files)))
    with tqdm(total=total + twice, desc="frames", delay=1) as progress, BackgroundCalls() as writing:
        for shot in shots:
            layout = layouts[shot.name]
            load = partial(load_frames, shot, layout, denoiser.inputs, meanings[shot.name])
            for frame, image in reconstruct_loading(denoiser, load, len(shot.files), options, engine, progress):
                writing.call(write_frame, options.output_dir, layout, frame, image, frame.source == shot.files[0])
    return total
