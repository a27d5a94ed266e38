"""Pins that `make lint` sees what modules at the top level import."""

from grimp import ImportGraph
from import_contracts import add_top_level_modules, imported_names


def test_imports_of_every_form_are_found():
    source = "import a\nfrom b.c import d, e\ndef f():\n    import g.h as i\n"
    assert sorted(imported_names(source)) == [(1, "a"), (2, "b.c.d"), (2, "b.c.e"), (4, "g.h")]


def test_an_import_by_a_top_level_module_is_in_the_graph(tmp_path):
    (tmp_path / "model.py").write_text("import numpy\nfrom training.fit import train\nfrom losses import total\n")
    (tmp_path / "losses.py").write_text("")
    graph = ImportGraph()
    graph.add_module("training")
    graph.add_module("training.fit")
    add_top_level_modules(graph, tmp_path)
    assert graph.find_modules_directly_imported_by("model") == {"training.fit", "losses"}
