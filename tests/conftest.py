"""Fixtures shared by all tests: a small dataset, a small scene for Mitsuba, and a quick start of the scripts."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from forkserver import ForkServer
from support import make_scene


@pytest.fixture
def small_dataset(tmp_path: Path) -> Path:
    """Two training scenes and a test scene of six 24x32 frames with two noisy renderings each."""
    root = tmp_path / "dataset"
    for scene in ("train/A", "train/B", "test/C"):
        make_scene(root / scene)
    return root


@pytest.fixture
def scene(tmp_path: Path) -> Path:
    """The scene file of small_scene.py, in a folder of the sequence's name."""
    from small_scene import NAME, write_scene  # not at the top: it skips the test where Mitsuba is not installed

    return write_scene(tmp_path / NAME)


@pytest.fixture(scope="session")
def server() -> Iterator[ForkServer]:
    """Runs scripts with PyTorch imported already."""
    with ForkServer() as started:
        yield started
