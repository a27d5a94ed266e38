"""The contracts of `make lint` (pyproject.toml), with the modules at the top level in them as well.

import-linter reads packages; it knows of a single file such as model.py only that others import it. Here what these
files import joins its graph before a contract is checked.
"""

import ast
from pathlib import Path

from grimp import ImportGraph
from importlinter.contracts.forbidden import ForbiddenContract
from importlinter.contracts.layers import LayersContract

ROOT = Path(__file__).resolve().parent.parent


def imported_names(source: str) -> list[tuple[int, str]]:
    """(line, dotted name) of every import in a module's source; `from a import b` gives `a.b`."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found += [(node.lineno, alias.name) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            found += [(node.lineno, f"{node.module}.{alias.name}") for alias in node.names]
    return found


def add_top_level_modules(graph: ImportGraph, root: Path = ROOT) -> None:
    """Adds every module at the top level, and what it imports, to the graph."""
    files = sorted(root.glob("*.py"))
    for path in files:
        if path.stem not in graph.modules:
            graph.add_module(path.stem)
    for path in files:
        lines = path.read_text().splitlines()
        for line, name in imported_names(path.read_text()):
            # `a.b` may be a module or something in module `a`; what is in no graph is another library.
            module = next(
                (m for m in (name, name.rpartition(".")[0], name.partition(".")[0]) if m in graph.modules), ""
            )
            if module:
                graph.add_import(
                    importer=path.stem, imported=module, line_number=line, line_contents=lines[line - 1].strip()
                )


class Layers(LayersContract):
    """import-linter's `layers`, top-level modules included."""

    def check(self, graph: ImportGraph, verbose: bool):
        """Whether no import goes up or sideways."""
        add_top_level_modules(graph)
        return super().check(graph, verbose)


class Forbidden(ForbiddenContract):
    """import-linter's `forbidden`, top-level modules included."""

    def check(self, graph: ImportGraph, verbose: bool):
        """Whether nothing forbidden is imported, directly or by way of others."""
        add_top_level_modules(graph)
        return super().check(graph, verbose)
