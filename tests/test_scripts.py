"""Pins what all scripts have in common."""

import ast

import pytest
from support import ROOT


@pytest.mark.parametrize("script", ["train.py", "test.py", "render.py", "export.py", "check.py"])
def test_nothing_of_a_script_follows_what_catches_ctrl_c(script):
    """Its last messages are inside as well: an interrupt while they are printed is one line, not a trace."""
    main = next(node for node in ast.parse((ROOT / script).read_text()).body if getattr(node, "name", "") == "main")
    last = main.body[-1]
    assert isinstance(last, ast.Try) and not last.finalbody
    assert "KeyboardInterrupt" in {getattr(handler.type, "id", "") for handler in last.handlers}
