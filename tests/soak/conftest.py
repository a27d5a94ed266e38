"""How many cases the tests in this folder try, and the table of what they tried.

`make test` tries a few of each, always the same; `make soak` many (`python -m pytest tests/soak --soak`).
"""

import json
from collections.abc import Callable

import pytest

COLUMNS = ("what", "cases", "faults", "survived", "losses")


def pytest_addoption(parser: pytest.Parser) -> None:
    """--soak: the long run. --soak_results: where to write the table as JSON lines."""
    parser.addoption("--soak", action="store_true", help="try many cases, for hours")
    parser.addoption("--soak_results", default="soak.jsonl", help="the table, as JSON lines; only with --soak")


@pytest.fixture
def cases(request: pytest.FixtureRequest) -> Callable[[int, int], int]:
    """cases(few, many): how many to try, `few` in make test and `many` in make soak."""
    return lambda few, many: many if request.config.getoption("--soak", False) else few


@pytest.fixture
def record(request: pytest.FixtureRequest) -> Callable[..., None]:
    """record(what, cases=, faults=, survived=, losses=): adds a row to the table. A loss also fails the test.

    cases: how many inputs or runs were tried. faults: how many of them were broken or killed on purpose. survived: how
    many of these ended as they should: the right result, or one clear error. losses: work or data lost, or silent
    nonsense.
    """

    def add(what: str, cases: int, faults: int = 0, survived: int = 0, losses: int = 0) -> None:
        row = dict(zip(COLUMNS, (what, cases, faults, survived, losses), strict=True))
        request.node.user_properties.append(("soak", row))
        assert losses == 0, f"{what}: {losses} lost"
        assert survived == faults, f"{what}: {faults - survived} of {faults} not survived"

    return add


def pytest_terminal_summary(terminalreporter, config: pytest.Config) -> None:
    """Prints the table after a long run."""
    if not config.getoption("--soak", False):
        return
    reports = [r for outcome in ("passed", "failed") for r in terminalreporter.getreports(outcome)]
    rows = [row for r in reports for name, row in r.user_properties if name == "soak" and r.when == "call"]
    terminalreporter.section("soak")
    for row in ({c: c for c in COLUMNS}, dict.fromkeys(COLUMNS, "---"), *rows):
        terminalreporter.line("| " + " | ".join(str(row[c]) for c in COLUMNS) + " |")
    with open(config.getoption("--soak_results"), "w") as file:
        file.writelines(json.dumps(row) + "\n" for row in rows)
