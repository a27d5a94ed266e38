"""What the channels of a shot mean: the frames themselves say, or options; never guessed in silence."""

from itertools import pairwise

import numpy as np
import torch

from files import InputError
from frames.layers import CAMERA_NORMAL, Layout, short
from frames.shots import Shot
from inference.conventions import Pair, Verdict, candidates, decide, parse_convention
from inference.normals import TURN, face_camera, normal_pairs, turned_by
from inference.shot_frames import Meaning, load_pair

PAIRS = 4  # of successive frames, at most, that decide
ESTIMATED = "estimated from depth, normals and albedo"


def find_meaning(runs: list[Shot], layout: Layout, motion: str, normals: str) -> tuple[Meaning, list[str]]:
    """What a shot's channels mean, and a line for each thing that is read.

    runs: the shot's frames, split where there are gaps. motion, normals: options of test.py.
    Raises InputError if an option is unusable or asks for motion that the frames do not have.
    """
    # some pairs of successive frames, from all over
    files = [pair for run in runs for pair in pairwise(run.files)]
    chosen = [files[round(index)] for index in np.linspace(0, len(files) - 1, min(PAIRS, len(files)))]
    undecided = (motion == "auto" and layout.motion) or normals == "auto"
    pairs = [load_pair(pair, layout) for pair in chosen] if undecided else []

    # what is read, and how
    lines = []
    for color in layout.colors:
        into = "" if color.result == color.source else f" -> {short(color.result)}"
        lines.append(f"denoised: {short(color.source)}{into}")
    lines += [f"{name}: {short(own)}" for name, own in layout.surface.items() if name != "normal"]
    lines += layout.notes or (["albedo: none"] if "albedo" not in layout.surface else [])
    verdict, line = choose_motion(motion, layout, pairs)
    lines.append(f"motion: {line}")
    used = (layout.motion[verdict.layer][0], verdict.convention) if verdict.convention else None
    in_camera, line = choose_normals(normals, layout, pairs, verdict)
    lines.append(f"normal: {short(layout.surface['normal'])}, {line}")
    return Meaning(used, in_camera), lines


def choose_motion(option: str, layout: Layout, pairs: list[list[Pair]]) -> tuple[Verdict, str]:
    """Which motion is used, and why, for the user. pairs: of frames, for each layer of vectors. Raises InputError."""
    # as the option says
    if option == "none":
        return Verdict(0, None, ""), f"{ESTIMATED}, as --motion says"
    if option != "auto":
        convention = parse_convention(option)
        fitting = [index for index, (_, leads) in enumerate(layout.motion) if leads in ("", convention.leads)]
        if not fitting:
            raise InputError(f"--motion {option}: the frames have no such motion; use auto or none")
        return Verdict(fitting[0], convention, ""), f"{short(layout.motion[fitting[0]][0])} as {option}"

    # as the frames say
    if not layout.motion:
        return Verdict(0, None, ""), "none; filtering networks estimate it from depth, normals and albedo"
    if not pairs:
        return Verdict(0, None, ""), "not needed, as there are no two successive frames"
    tried = [(candidates(leads), [pair[index] for pair in pairs]) for index, (_, leads) in enumerate(layout.motion)]
    verdict = decide(tried)
    if verdict.convention is None:
        return verdict, f"{ESTIMATED}: {verdict.reason}; --motion overrides"
    names = short(layout.motion[verdict.layer][0])
    return verdict, f"{names} as {verdict.convention} ({verdict.reason}); --motion overrides"


def choose_normals(option: str, layout: Layout, pairs: list[list[Pair]], verdict: Verdict) -> tuple[bool, str]:
    """Whether normals are in camera space, and why, for the user. verdict: which motion is used."""
    if option != "auto":
        return option == "camera", f"{option} space, as --normals says"
    if not pairs:
        return False, "in any space, as there are no two successive frames"
    first = [layers[verdict.layer] for layers in pairs]
    facing = all(face_camera(surface) for pair in first for surface in pair.surfaces)
    name = layout.surface["normal"][0].rpartition(".")[0].rpartition(".")[2]

    # measured, if the motion is: a motion that is only estimated is too inexact
    if verdict.convention:
        motions = (torch.from_numpy(pair.motion(verdict.convention)) for pair in first)
        angle = turned_by([normal_pairs(*pair.surfaces, m) for pair, m in zip(first, motions, strict=True)])
        turns = facing and angle > TURN
        reason = f"the camera turns them by {angle:.1f} degrees a frame" if turns else "the camera does not turn them"
        return turns, f"{'camera' if turns else 'world'} space ({reason}); --normals overrides"

    # else by name, or by what they cannot be
    if name.lower() == CAMERA_NORMAL:
        return True, "camera space, as Cycles writes it; --normals overrides"
    if not facing:
        return False, "world space, since not all face the camera; --normals overrides"
    return False, "taken as world space, but all face the camera: if they are in camera space, say --normals camera"
