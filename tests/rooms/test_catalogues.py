"""Pins which models are found, their roles, splits and licenses, and libraries of Sweet Home 3D."""

import json
import zipfile

import pytest
from model_files import CUBE, write_catalogue, write_cube
from support import ROOT

from files import InputError
from rooms.loading import load_thing
from rooms.models import Model, choose, find_models, split_of
from rooms.roles import ROLES, role_of
from rooms.sweethome import read_properties, unpack

pytestmark = pytest.mark.usefixtures("fresh_caches")


def test_without_a_catalogue_every_model_file_counts_and_names_say_what_it_is(tmp_path):
    write_cube(tmp_path / "Chairs", "model_12")
    write_cube(tmp_path, "coffeeTable2")
    write_cube(tmp_path / ".hidden", "sofa")
    models = find_models(str(tmp_path))
    assert [(model.path, model.role) for model in models] == [
        ("Chairs/model_12.obj", "seat"),
        ("coffeeTable2.obj", "table"),
    ]
    assert models[0].size is None and models[0].license == ""


def test_a_catalogue_says_what_it_is_how_large_and_whose(tmp_path, capsys):
    write_cube(tmp_path, "a")
    write_cube(tmp_path, "b")
    row = {"obj": "b.obj", "name": "Lamp", "licence": "CC0-1.0", "creator": "Somebody", "width_cm": "40"}
    row |= {"depth_cm": "30", "height_cm": "150", "elevation_cm": "5", "model_rotation": "0 0 1 0 1 0 -1 0 0"}
    missing = dict.fromkeys(row, "") | {"obj": "missing.obj"}
    write_catalogue(tmp_path, row, missing, missing | {"obj": "a.obj", "height_cm": "?", "model_rotation": "1 2"})
    a, b = find_models(str(tmp_path))
    assert a == Model(str(tmp_path), "a.obj", "a", "other")
    assert (b.role, b.creator, b.license, b.size, b.elevation) == (
        "lamp-floor", "Somebody", "CC0-1.0", (0.4, 1.5, 0.3), 0.05
    )  # fmt: skip
    assert b.rotation == (0, 0, 1, 0, 1, 0, -1, 0, 0)
    assert "missing.obj" in capsys.readouterr().err


def test_licenses_choose_and_those_that_exist_are_named(tmp_path):
    for name in "abc":
        write_cube(tmp_path, name)
    write_catalogue(tmp_path, *({"obj": f"{n}.obj", "licence": t} for n, t in zip("abc", ("X", "Y", ""), strict=True)))
    assert [model.path for model in find_models(str(tmp_path), ("X", "Y"))] == ["a.obj", "b.obj"]
    with pytest.raises(InputError, match=r"Z.*\(none\), X, Y"):
        find_models(str(tmp_path), ("Z",))


def test_unusable_folders_and_catalogues_are_named(tmp_path):
    with pytest.raises(InputError, match="no such folder"):
        find_models(str(tmp_path / "nowhere"))
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="no model"):
        find_models(str(tmp_path / "empty"))
    write_catalogue(tmp_path, {"file": "a.obj", "name": "a"})
    with pytest.raises(InputError, match=r"`obj`.*file, name"):
        find_models(str(tmp_path))


def test_a_catalogue_never_leads_out_of_the_folder(tmp_path, capsys):
    write_cube(tmp_path / "outside", "secret")
    write_cube(tmp_path / "inside", "a")
    (tmp_path / "inside" / "link.obj").symlink_to(tmp_path / "outside" / "secret.obj")
    paths = ("../outside/secret.obj", str(tmp_path / "outside" / "secret.obj"), "link.obj", "a.obj")
    write_catalogue(tmp_path / "inside", *({"obj": path, "name": ""} for path in paths))
    assert [model.path for model in find_models(str(tmp_path / "inside"))] == ["a.obj"]
    assert capsys.readouterr().err.count("outside the folder") == 3
    assert load_thing(Model(str(tmp_path / "inside"), "../outside/secret.obj", "", "other")) is None


@pytest.mark.parametrize(
    ("names", "role"),
    [
        (("Piano bench",), "seat"),
        (("Table lamp",), "lamp-table"),
        (("Chair with cushion",), "seat"),
        (("TV stand",), "storage"),
        (("model7", "office_chairs", "Kitchen"), "seat"),
        (("xyz",), "other"),
    ],
)
def test_the_last_and_longest_words_give_the_role_and_the_first_name_with_one_decides(names, role):
    assert role_of(*names) == role


def test_roles_have_heights():
    assert all(0 < role.low < role.high for role in ROLES.values())


def test_the_splits_on_record_are_those_of_the_code():
    """What released weights were trained on stays out of validation and tests."""
    splits = json.loads((ROOT / "benchmarks" / "splits.json").read_text())
    for split, content in splits.items():
        assert content["models"] and all(split_of(Model("f", path, "", "seat")) == split for path in content["models"])


def test_splits_are_disjoint_stable_and_of_the_path_alone():
    models = [Model("f", f"{number}.obj", "", "seat") for number in range(1000)]
    parts = {split: choose(models, split, "seat") for split in ("train", "val", "test")}
    assert sum(map(len, parts.values())) == 1000
    assert 760 < len(parts["train"]) < 840 and 70 < len(parts["val"]) < 130
    assert [split_of(model) for model in models[:8]] == [
        split_of(Model("elsewhere", model.path, "other name", "table", size=(1, 1, 1))) for model in models[:8]
    ]
    assert "".join(split_of(model)[1] for model in models[:16]) == "rrrerrrrrarerarr"  # trAin, vAl, tEst
    assert choose(models, "train", "table") == []


def test_a_library_of_sweet_home_becomes_rows_of_a_catalogue(tmp_path):
    text = "id=x\nlicense=CC0-1.0\nname#1=Caf\\u00e9 chair\nmodel#1=/chair/chair.obj\nwidth#1=50\ndepth#1=60\n"
    text += "height#1 = 70\ndoorOrWindow#1=false\nmodelRotation#1=1 0 0 \\\n  0 1 0 0 0 1\ncreator#1=Somebody\n# end\n"
    library = tmp_path / "set.sh3f"
    with zipfile.ZipFile(library, "w") as archive:
        archive.writestr("PluginFurnitureCatalog.properties", text)
        archive.writestr("chair/chair.obj", CUBE)
        archive.writestr("../outside.obj", CUBE)
    (row,) = unpack(library, tmp_path / "models")
    write_catalogue(tmp_path / "models", row)
    (model,) = find_models(str(tmp_path / "models"), ("CC0-1.0",))
    assert (model.name, model.path, model.role, model.creator) == (
        "Café chair",
        "set/chair/chair.obj",
        "seat",
        "Somebody",
    )
    assert load_thing(model).size == pytest.approx((0.5, 0.7, 0.6))
    assert not (tmp_path / "outside.obj").exists() and not (tmp_path / "models" / "outside.obj").exists()


def test_properties_may_be_in_latin_1():
    assert read_properties("name#1=Canapé\tbleu".encode("latin-1")) == {"name#1": "Canapé bleu"}


def test_any_other_file_is_no_library(tmp_path):
    (tmp_path / "a.sh3f").write_bytes(b"junk")
    with pytest.raises(InputError, match="no library of Sweet Home 3D"):
        unpack(tmp_path / "a.sh3f", tmp_path)
