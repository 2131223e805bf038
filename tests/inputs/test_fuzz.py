"""Whatever is in a file, the readers return or raise an `AppError`."""

import contextlib
import json
import tempfile
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bidsapp.errors import AppError
from bidsapp.inputs.dataset.index import parse_name, read_filters
from bidsapp.inputs.dataset.open import open_dataset
from bidsapp.inputs.dataset.timing import read_timing
from bidsapp.inputs.estimates import find_estimates
from bidsapp.inputs.images.read import read_header, read_mask, read_volume
from bidsapp.inputs.images.stacks import read_stack
from bidsapp.inputs.tables.confounds import find_outliers, read_confounds, select_confounds
from bidsapp.inputs.tables.events import read_events
from bidsapp.inputs.tables.participants import read_participants
from bidsapp.inputs.tables.read import read_table
from bidsapp.model.strategy import parse_strategy
from bidsapp.settings.parts import Selection

quick = settings(max_examples=80, deadline=None, suppress_health_check=list(HealthCheck))
few = settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
cells = st.sampled_from(
    ["onset", "duration", "trial_type", "n/a", "1", "-2.5", "1e999", "nan", "", '"', "\x00", "é"]
)
cells |= st.text(max_size=4)
tables = st.lists(st.lists(cells, max_size=5).map("\t".join), max_size=6).map("\n".join).map(str.encode)
tables |= st.binary(max_size=60)
json_values = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)

filter_files = st.binary(max_size=40) | (
    json_values | st.dictionaries(st.sampled_from(["bold", "mask"]), json_values)
).map(lambda value: json.dumps(value).encode())


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("fuzz")


@pytest.mark.parametrize(
    "reader",
    [
        read_table,
        read_events,
        read_participants,
        lambda path: read_confounds(path, ["onset", "*"]),
        lambda path: find_outliers(path, parse_strategy("scrub")),
    ],
    ids=["table", "events", "participants", "confounds", "outliers"],
)
@quick
@given(content=tables)
def test_tables_are_read_or_refused(folder, reader, content):
    path = folder / "participants.tsv"
    path.write_bytes(content)
    with contextlib.suppress(AppError):
        reader(path)


@quick
@given(metadata=st.dictionaries(
    st.sampled_from(["RepetitionTime", "StartTime", "SliceTimingCorrected", "VolumeTiming"]), json_values
), step=st.floats(), unit=st.sampled_from(["sec", "msec", "usec", "unknown"]))  # fmt: skip
def test_timing_is_finite_or_refused(metadata, step, unit):
    with contextlib.suppress(AppError):
        timing = read_timing(metadata, step, unit)
        assert 0 < timing.repetition_time <= 100
        assert np.isfinite(timing.start_time)


@quick
@given(text=st.text(max_size=30) | st.lists(st.sampled_from(
    ["motion6", "acompcor", "scrub", "[", "]", "0.5", ",", "+", "5", "..", "none", "cosine"]
), max_size=6).map("".join))  # fmt: skip
def test_strategies_are_read_or_refused(text):
    with contextlib.suppress(AppError):
        select_confounds(["trans_x", "a_comp_cor_00", "cosine00"], {"a_comp_cor_00": 3}, text)


@quick
@given(content=filter_files)
def test_filter_files_are_read_or_refused(folder, content):
    path = folder / "filter.json"
    path.write_bytes(content)
    with contextlib.suppress(AppError):
        read_filters(path)


@quick
@given(name=st.text(alphabet="subses-_.0aé", min_size=1, max_size=20))
def test_any_name_can_be_parsed(name):
    assert all(f"{key}-{label}" in name for key, label in parse_name(name).entities.items())


@pytest.fixture(scope="module")
def image_bytes(folder):
    contents = []
    for name in ("x.nii", "x.nii.gz"):
        nib.save(nib.Nifti1Image(np.ones((3, 3, 3), np.float32), np.eye(4)), folder / name)
        contents.append((name, (folder / name).read_bytes()))
    return contents


@quick
@given(data=st.data())
def test_damaged_images_are_read_or_refused(folder, image_bytes, data):
    name, content = data.draw(st.sampled_from(image_bytes))
    damaged = bytearray(content)
    for _ in range(data.draw(st.integers(0, 4))):
        damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    path = folder / f"damaged_{name}"
    path.write_bytes(damaged[: data.draw(st.integers(0, len(damaged)))])
    for reader in (read_header, read_mask, read_volume):
        with contextlib.suppress(AppError), np.errstate(all="ignore"):
            reader(path)


ENTITIES = ("sub-01", "ses-1", "task-x", "run-1", "run-a", "space-T1w", "space-", "res-2", "echo-1", "-", "")
names = st.lists(st.sampled_from([*ENTITIES, "desc-preproc"]), max_size=6).map("_".join)
files = st.tuples(
    st.sampled_from(
        ["", "sub-01", "sub-01/func", "sub-01/ses-1/func", "derivatives/f", "derivatives/f/sub-01/func"]
    ),
    names,
    st.sampled_from(
        ["bold.nii.gz", "events.tsv", "mask.nii.gz", "bold.json", "preproc.nii.gz", "statmap.nii.gz"]
    ),
    st.sampled_from([b"", b"{}", b"[]", b"onset\tduration\n1\t2\n", b"{"]),
)


@few
@given(
    listing=st.lists(files, min_size=1, max_size=8),
    description=st.sampled_from([None, "{}", "[]", "{", '{"DatasetType": 3}']),
)
def test_any_folder_is_opened_or_refused(listing, description):
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        if description is not None:
            (root / "dataset_description.json").write_text(description)
        for place, stem, suffix, content in listing:
            (root / place).mkdir(parents=True, exist_ok=True)
            (root / place / f"{stem}_{suffix}").write_bytes(content)
        selection = Selection(estimates=(folder,))
        with contextlib.suppress(AppError):
            open_dataset(root, selection)
        with contextlib.suppress(AppError):
            read_stack(find_estimates(selection, root, root / "out"))
