"""Fixtures of the tests of models."""

import pytest

from rooms import loading, pictures
from rooms.loading import load_thing
from rooms.models import find_models


@pytest.fixture
def fresh_caches():
    """No test sees the files of another."""
    for cached in (find_models, load_thing, loading.report_once, pictures.files_below):
        cached.cache_clear()
