"""Pins that docs/errors.md tells the remedy of every error message in the code."""

import ast
import re

import pytest
from support import ROOT

FOLDERS = ("", "training", "inference", "exporting", "rendering", "checking", "networks", "scoring", "frames")
PASSED_ON = {"{}", "{}: {}"}  # messages that only pass on another one


def fixed_words(node: ast.expr) -> str:
    """The text of a message, with {} for what is filled in; adjacent and added strings count as one."""
    if isinstance(node, ast.Constant):
        return str(node.value)
    if isinstance(node, ast.JoinedStr):
        return "".join(fixed_words(part) for part in node.values)
    if isinstance(node, ast.BinOp):
        return fixed_words(node.left) + fixed_words(node.right)
    if isinstance(node, ast.FormattedValue) and isinstance(node.value, ast.Name) and node.value.id.isupper():
        return f"<{node.value.id}>"  # a constant of the module
    return "{}"


def messages():
    """Every message of an InputError or of a parser's error, with its place."""
    for folder in FOLDERS:
        for path in sorted((ROOT / folder).glob("*.py")):
            for node in ast.walk(ast.parse(path.read_text())):
                called = getattr(node, "func", None)
                if getattr(called, "id", getattr(called, "attr", "")) in ("InputError", "error") and node.args:
                    text = fixed_words(node.args[0])
                    if text not in PASSED_ON and not text.startswith("checking"):
                        yield pytest.param(text, id=f"{path.relative_to(ROOT)}:{node.lineno}")


def documented() -> list[str]:
    """The first column of the tables, as patterns in which {} stands for anything."""
    rows = re.findall(r"^\| (.+?) \| .+ \|$", (ROOT / "docs" / "errors.md").read_text(), re.M)
    return [re.escape(row).replace(r"\{\}", ".*") for row in rows if row not in ("message",) and not set(row) <= {"-"}]


def completed(text: str) -> str:
    """A message with the constants that it ends in."""
    return text.replace("<ELSEWHERE>", "choose another folder with --cache_dir").replace("<EXPECTED_FOLDERS>", "")


@pytest.mark.parametrize("text", messages())
def test_every_message_has_a_remedy(text):
    assert any(re.search(pattern, completed(text)) for pattern in documented()), f"docs/errors.md lacks: {text}"


def test_every_row_is_a_message():
    said = [completed(param.values[0]) for param in messages()]
    for path in ("files.py", "training/run.py", "training/callbacks.py"):  # OSError, FloatingPointError
        said.append((ROOT / path).read_text())
    idle = [pattern for pattern in documented() if not any(re.search(pattern, text) for text in said)]
    assert not idle, f"docs/errors.md has rows that no message fits: {idle}"


@pytest.mark.parametrize("script", ["train.py", "test.py", "render.py", "export.py", "check.py"])
def test_nothing_of_a_script_follows_what_catches_ctrl_c(script):
    """Its last messages are inside as well: an interrupt while they are printed is one line, not a trace."""
    main = next(node for node in ast.parse((ROOT / script).read_text()).body if getattr(node, "name", "") == "main")
    last = main.body[-1]
    assert isinstance(last, ast.Try) and not last.finalbody
    assert "KeyboardInterrupt" in {getattr(handler.type, "id", "") for handler in last.handlers}
