"""Confounds: only what is needed is read, and strategies name the columns of any fMRIPrep."""

import numpy as np
import pytest

from bidsapp.errors import InputError, SettingsError
from bidsapp.inputs.tables.confounds import find_outliers, read_confounds, select_confounds
from bidsapp.model.strategy import parse_strategy

MOTION = ["trans_x", "trans_y", "trans_z", "rot_x", "rot_y", "rot_z"]
ALL_MOTION = [f"{m}{s}" for s in ("", "_derivative1", "_power2", "_derivative1_power2") for m in MOTION]
VERSION_1_0 = ["CSF", "WhiteMatter", "GlobalSignal", "stdDVARS", "FramewiseDisplacement", "tCompCor00"]
VERSION_1_0 += ["aCompCor00", "aCompCor01", "Cosine00", "NonSteadyStateOutlier00"]
VERSION_1_0 += ["X", "Y", "Z", "RotX", "RotY", "RotZ", "AROMAAggrComp01"]
VERSION_20 = ["global_signal", "csf", "white_matter", "std_dvars", "framewise_displacement"]
VERSION_20 += [f"t_comp_cor_{k:02d}" for k in range(8)] + [f"a_comp_cor_{k:02d}" for k in range(12)]
VERSION_20 += ["cosine00", "cosine01", "non_steady_state_outlier00", *ALL_MOTION, "motion_outlier00"]
VERSION_20 += ["aroma_motion_02", "aroma_motion_05"]
VERSION_25 = ["csf", "csf_wm", "white_matter", "global_signal", "rmsd", "dvars", "std_dvars", *ALL_MOTION]
VERSION_25 += [f"{mask}_comp_cor_{k:02d}" for mask in ("a", "c", "w", "t") for k in range(6)]
VERSION_25 += [f"edge_comp_{k:02d}" for k in range(3)] + ["cosine00", "framewise_displacement"]
MASKS = ["CSF"] * 4 + ["WM"] * 4 + ["combined"] * 4
METADATA = {f"a_comp_cor_{k:02d}": {"Mask": mask, "Retained": True} for k, mask in enumerate(MASKS)}
METADATA["a_comp_cor_08"]["Retained"] = False


@pytest.mark.parametrize(
    ("strategy", "count"), [("none", 0), ("motion6", 6), ("motion12", 12), ("motion24", 24)]
)
def test_motion_strategy_has_so_many_columns(strategy, count):
    assert select_confounds(VERSION_20, {}, strategy) == ALL_MOTION[:count]


def test_parts_are_joined_in_their_order():
    chosen = select_confounds(VERSION_20, {}, "wmcsf + globalsignal+cosine+nonsteady")
    expected = ["white_matter", "csf", "global_signal", "cosine00", "cosine01", "non_steady_state_outlier00"]
    assert chosen == expected


def test_components_of_the_combined_mask_that_were_retained_are_taken():
    assert select_confounds(VERSION_20, METADATA, "acompcor2") == ["a_comp_cor_09", "a_comp_cor_10"]


def test_first_components_are_taken_where_no_mask_is_known():
    assert select_confounds(VERSION_20, {}, "acompcor") == [f"a_comp_cor_{k:02d}" for k in range(6)]
    assert select_confounds(VERSION_20, {}, "tcompcor[3]") == [f"t_comp_cor_{k:02d}" for k in range(3)]


def test_components_of_one_tissue_of_later_versions_are_left_out():
    chosen = select_confounds(VERSION_25, {}, "acompcor3+tcompcor2+cosine+wmcsf")
    expected = ["a_comp_cor_00", "a_comp_cor_01", "a_comp_cor_02", "t_comp_cor_00", "t_comp_cor_01"]
    assert chosen == [*expected, "cosine00", "white_matter", "csf"]


def test_columns_of_the_first_fmriprep_are_known():
    chosen = select_confounds(VERSION_1_0, {}, "motion6+acompcor2+wmcsf+globalsignal+aroma+cosine+nonsteady")
    expected = ["X", "Y", "Z", "RotX", "RotY", "RotZ", "aCompCor00", "aCompCor01", "WhiteMatter", "CSF"]
    assert chosen == [*expected, "GlobalSignal", "AROMAAggrComp01", "Cosine00", "NonSteadyStateOutlier00"]


@pytest.mark.parametrize(
    ("columns", "strategy", "message"),
    [
        (VERSION_1_0, "motion12", "no column 'trans_x_derivative1', which motion12 needs"),
        (VERSION_20, "acompcor20", "12 components for acompcor20"),
        (MOTION, "acompcor", "0 components for acompcor"),
        (MOTION, "tcompcor", "0 components for tcompcor"),
        (MOTION, "aroma", "no ICA-AROMA columns"),
    ],
)
def test_missing_column_is_refused_with_the_remedy(columns, strategy, message):
    with pytest.raises(InputError, match=message):
        select_confounds(columns, {}, strategy)


def test_parts_have_their_numbers():
    assert parse_strategy("tcompcor1+acompcor + WMCSF").parts == {
        "tcompcor": 1,
        "acompcor": None,
        "wmcsf": None,
    }
    assert parse_strategy("none").parts == {}


@pytest.mark.parametrize(
    ("strategy", "message"),
    [
        ("motion25", "unknown strategy 'motion25'; did you mean 'motion24'"),
        ("motion6+acompcorr", "did you mean 'acompcor'"),
        ("motion6+motion24", "exclude each other"),
        ("wmcsf2", "takes no such number"),
        ("acompcor0", "takes no such number"),
        ("acompcor1.5", "takes no such number"),
        ("tcompcor1,2", "takes no such number"),
        ("scrub[a]", "unknown strategy"),
        ("scrub[0.5,1,2]", r"write scrub\[FD,DVARS\]"),
        ("scrub[0]", r"write scrub\[FD,DVARS\]"),
        ("scrub[0.5,0]", r"write scrub\[FD,DVARS\]"),
        ("", "unknown strategy"),
    ],
)
def test_wrong_strategy_is_refused(strategy, message):
    with pytest.raises(SettingsError, match=message):
        parse_strategy(strategy)


@pytest.mark.parametrize(
    ("text", "thresholds"),
    [("scrub", (0.5, 1.5)), ("scrub0.9", (0.9, 1.5)), ("scrub[0.2,3]", (0.2, 3.0)), ("motion6", None)],
)
def test_scrub_thresholds_may_be_given(text, thresholds):
    assert parse_strategy(text).scrub == thresholds


@pytest.fixture
def table(tmp_path):
    path = tmp_path / "confounds.tsv"
    path.write_text(
        "framewise_displacement\tstd_dvars\ttrans_x\ttrans_y\tholes\tempty\tword\n"
        "n/a\tn/a\t1\t2\t1\tn/a\tx\n0.6\t1.0\t2\t3\tn/a\tn/a\t1\n0.2\t2.0\t3\t4\t3\tn/a\t2\n0.1\t1\t4\t5\t4\tn/a\t3\n"
    )
    return path


def test_only_the_columns_asked_for_are_read(table):
    assert list(read_confounds(table, ["trans_?"]).columns) == ["trans_x", "trans_y"]


def test_leading_missing_values_become_the_mean_of_the_column(table):
    column = read_confounds(table, ["framewise_displacement"], 4).framewise_displacement
    np.testing.assert_allclose(column, [0.3, 0.6, 0.2, 0.1])


def test_pattern_without_a_match_reads_nothing(table):
    assert read_confounds(table, ["aroma*"]).shape == (0, 0)


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["trans_z"], r"no column 'trans_z'; did you mean 'trans_[xy]'"),
        (["holes"], r"column holes, line 3: a value is missing after the first"),
        (["empty"], r"all values of column empty are missing"),
        (["word"], r"column word, line 2: 'x' is not a number\. Correct it, or leave the column out"),
    ],
)
def test_fault_names_file_and_place(table, names, message):
    with pytest.raises(InputError, match=rf"confounds.tsv.*{message}"):
        read_confounds(table, names)


def test_other_number_of_rows_than_volumes_is_refused(table):
    with pytest.raises(InputError, match="4 rows and the images have 5 volumes"):
        read_confounds(table, ["trans_x"], 5)


def test_outliers_exceed_either_threshold(table):
    assert find_outliers(table, parse_strategy("scrub")) == (1, 2)
    assert find_outliers(table, parse_strategy("scrub[0.7,1.5]")) == (2,)
    assert find_outliers(table, parse_strategy("motion6")) == ()
