"""What earlier runs of test.py left in the output folder, which someone could take for results of this one."""

import argparse
import re
from pathlib import Path

from frames.sequences import Sequence
from inference.output import STRIP, VIDEO
from inference.report import FOLDER, NUMBERS

RESULT_NAME = re.compile(rf"frame-\d+\.(exr|png)|{re.escape(STRIP)}|{re.escape(VIDEO)}")


def result_names(sequences: list[Sequence], kinds: list[str]) -> dict[str, set[str]]:
    """The files that a run writes for each scene. kinds: which of options.OUTPUTS."""
    endings = [kind for kind in kinds if kind != "video"]
    whole_scene = {name for kind, name in (("png", STRIP), ("video", VIDEO)) if kind in kinds}
    names: dict[str, set[str]] = {}
    for sequence in sequences:
        frames = {f"{frame.folder.name}.{ending}" for frame in sequence.frames for ending in endings}
        names.setdefault(sequence.scene, set(whole_scene)).update(frames)
    return names


def find_leftovers(options: argparse.Namespace, sequences: list[Sequence]) -> list[str]:
    """One line for the user if options.output_dir, which must exist, has results that a run does not replace; or none.

    Names folders of other scenes, files of the same scenes, and the report if the run makes none.
    """
    own, found = result_names(sequences, options.write), []
    for folder in sorted(child for child in options.output_dir.iterdir() if child.is_dir()):
        results = {file.name for file in folder.iterdir() if RESULT_NAME.fullmatch(file.name)}
        left = sorted(results - own.get(folder.name, set()))
        if left and folder.name in own:
            found.append(f"{folder.name}/{left[0]}" + (f" and {len(left) - 1} more" if left[1:] else ""))
        elif left:
            found.append(folder.name)
    if not options.report and Path(options.output_dir, FOLDER, NUMBERS).is_file():
        found.append(FOLDER)
    return [f"{options.output_dir}: has results of an earlier run, which stay: {', '.join(found)}"] if found else []
