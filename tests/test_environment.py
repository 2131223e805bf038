"""What the job may use, and the work folder."""

import os
import tempfile
from dataclasses import replace
from pathlib import Path

import pytest

from bidsapp.environment import count_cpus, find_memory_gb, work_folder
from bidsapp.settings import Control, Settings


@pytest.fixture
def settings(tmp_path):
    return Settings(tmp_path / "in", tmp_path / "out", ("participant",))


def test_what_is_asked_for_is_used():
    assert (count_cpus(3), find_memory_gb(2.5)) == (3, 2.5)


def test_no_more_processors_than_the_job_has(monkeypatch):
    monkeypatch.setenv("SLURM_CPUS_PER_TASK", "1")
    assert count_cpus() == 1


def test_memory_follows_the_job(monkeypatch):
    monkeypatch.setenv("SLURM_MEM_PER_NODE", "100")
    assert find_memory_gb() == pytest.approx(0.9 * 100 * 2**20 / 1e9)


def test_temporary_files_go_to_the_work_folder_and_it_is_removed(settings):
    with work_folder(settings) as folder:
        assert Path(tempfile.gettempdir()) == folder
        assert os.environ["MPLCONFIGDIR"].startswith(str(settings.output_dir))
    assert list(settings.output_dir.iterdir()) == []


def test_the_work_folder_is_made_where_the_user_says(settings, tmp_path):
    elsewhere = replace(settings, control=Control(work_dir=tmp_path / "work"))
    with work_folder(elsewhere) as folder:
        assert folder.parent == tmp_path / "work"
    assert not settings.output_dir.exists()


def test_the_environment_is_as_before(settings):
    before = dict(os.environ)
    with work_folder(settings):
        pass
    assert dict(os.environ) == before
