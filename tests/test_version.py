"""Pins that the version is the same wherever it is stated."""

import re

import pytest
from support import ROOT, run_script

from version import VERSION


def test_the_changelog_and_the_citation_have_this_version():
    released = re.findall(r"^## (\S+)", (ROOT / "CHANGELOG.md").read_text(), re.M)
    assert released[0] == VERSION
    assert f"version: {VERSION}\n" in (ROOT / "CITATION.cff").read_text()


@pytest.mark.parametrize("script", ["train.py", "test.py", "check.py", "export.py", "render.py"])
def test_every_script_tells_it(script):
    assert run_script(script, "--version").stdout.split() == [script, VERSION]
