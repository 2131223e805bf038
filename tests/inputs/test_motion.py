from bidsapp.inputs.motion import COLUMNS, read_motion


def test_motion_goes_by_its_names_of_today(tmp_path):
    """Names of fMRIPrep before 1.4 mean the same; other columns are not read, missing values are None."""
    old = ("FramewiseDisplacement", "X", "Y", "Z", "RotX", "RotY", "RotZ")
    expected = {name: [None, float(i)] for i, name in enumerate(COLUMNS)}
    for names in (COLUMNS, old):
        head, empty = "\t".join([*names, "csf"]), "\t".join(["n/a"] * 8)
        (tmp_path / "x.tsv").write_text(f"{head}\n{empty}\n" + "\t".join(map(str, range(8))) + "\n")
        assert read_motion(tmp_path / "x.tsv") == expected
    assert read_motion(None) == {}
