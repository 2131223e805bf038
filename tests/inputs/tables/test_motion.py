import pytest

from bidsapp.errors import InputError
from bidsapp.inputs.tables.confounds import SHOWN_MOTION, read_motion


def test_motion_goes_by_its_names_of_today(tmp_path):
    """Names of fMRIPrep before 1.4 mean the same; other columns are not read, missing values are None."""
    old = ("FramewiseDisplacement", "X", "Y", "Z", "RotX", "RotY", "RotZ")
    expected = {name: [None, float(i)] for i, name in enumerate(SHOWN_MOTION)}
    for names in (SHOWN_MOTION, old):
        head, empty = "\t".join([*names, "csf"]), "\t".join(["n/a"] * 8)
        (tmp_path / "x.tsv").write_text(f"{head}\n{empty}\n" + "\t".join(map(str, range(8))) + "\n")
        assert read_motion(tmp_path / "x.tsv") == expected
    assert read_motion(None) == {}


def test_a_value_that_is_no_number_is_told_with_its_column_and_line(tmp_path):
    (tmp_path / "x.tsv").write_text("trans_x\tcsf\nn/a\t1\n0,5\t1\n")
    with pytest.raises(InputError, match=r"x\.tsv, column trans_x, line 3: '0,5' is not a number"):
        read_motion(tmp_path / "x.tsv")
