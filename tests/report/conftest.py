"""Output folders with reports, made once."""

import sys
from pathlib import Path

import pytest

from bidsapp.report.pages import write_group_report, write_overview, write_subject_report

sys.path.insert(0, str(Path(__file__).parent))
from example import Example  # noqa: E402


def write_reports(example):
    folder = example.write()
    write_subject_report(folder, "01")
    write_group_report(folder)
    write_overview(folder)
    return folder


@pytest.fixture(scope="session")
def output_folder(tmp_path_factory):
    return write_reports(Example(tmp_path_factory.mktemp("out") / "out", n_subjects=4))


@pytest.fixture(scope="session")
def hostile_folder(tmp_path_factory):
    return write_reports(Example(tmp_path_factory.mktemp("hostile") / "out", n_subjects=4, hostile=True))
