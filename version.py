"""The version of this software, in one place: `--version` of every script, TensorBoard, CITATION.cff, CHANGELOG.md."""

import argparse

VERSION = "0.9.0"


def add_version(parser: argparse.ArgumentParser) -> None:
    """Adds the option --version, which prints the script's name and the version."""
    parser.add_argument("--version", action="version", version=f"%(prog)s {VERSION}")
