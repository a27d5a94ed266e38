"""Fixtures of the tests of render.py."""

import pytest


@pytest.fixture
def no_child_processes(monkeypatch):
    """The variant is not tried in a child, which takes seconds."""
    monkeypatch.setattr("rendering.variants.probe", lambda variant: None)
