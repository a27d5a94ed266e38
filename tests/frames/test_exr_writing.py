"""Pins copies of EXR files with other pixels: every header that is read is written, and what is written is checked."""

import numpy as np
import pytest
from foreign_files import H, W, add_attribute, usual
from support import write_channels

from files import InputError
from frames.exr import read_exr
from frames.exr_writing import check_written, replace_channels


@pytest.mark.parametrize("kind", ["stringvector", "floatvector"])
def test_every_header_that_is_read_is_written(kind, tmp_path, capsys):
    path = write_channels(tmp_path / "a_1.exr", usual(0), owner="me", comments="x")
    add_attribute(path, f"empty {kind}", kind, b"")
    new = np.full((H, W), 2.0, np.float32)
    replace_channels(path, tmp_path / "b_1.exr", {"R": new})
    check_written(tmp_path / "b_1.exr", {"R": new, "G": read_exr(path, ("color",))["color"][1]})
    assert f"its attribute empty {kind} is an empty list" in capsys.readouterr().err


def test_a_file_that_does_not_hold_what_was_written_is_named(tmp_path):
    path = write_channels(tmp_path / "a_1.exr", usual(0))
    with pytest.raises(InputError, match=r"a_1.exr: R reads back changed"):
        check_written(path, {"R": np.full((H, W), 3.0, np.float32)})
    with pytest.raises(InputError, match=r"a_1.exr: key.R cannot be read back"):
        check_written(path, {"key.R": np.zeros((H, W), np.float32)})
