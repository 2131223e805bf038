"""What the job may use, and the work folder."""

import os
import platform
import re
import shutil
import signal
import tempfile
import time
from pathlib import Path

import pytest

from bidsapp.job import environment
from bidsapp.job.environment import WORK_PREFIX, count_cpus, find_memory_gb, work_folder

# What makes a function a compiled one.
KERNEL = re.compile(r"^@(numba\.njit|compiled|vectorised|intrinsic)", re.M)


@pytest.fixture
def output_dir(tmp_path):
    return tmp_path / "out"


def test_what_is_asked_for_is_used():
    assert (count_cpus(3), find_memory_gb(2.5)) == (3, 2.5)


def test_no_more_processors_than_the_job_has(monkeypatch):
    monkeypatch.setenv("SLURM_CPUS_PER_TASK", "1")
    assert count_cpus() == 1


def test_memory_follows_the_job(monkeypatch):
    monkeypatch.setenv("SLURM_MEM_PER_NODE", "100")
    assert find_memory_gb() == pytest.approx(0.9 * 100 * 2**20 / 1e9)


def test_temporary_files_go_to_the_work_folder_and_it_is_removed(output_dir):
    with work_folder(output_dir) as folder:
        assert Path(tempfile.gettempdir()) == folder
        assert os.environ["JOBLIB_TEMP_FOLDER"].startswith(str(output_dir))
    assert not output_dir.exists()


def test_the_work_folder_is_made_where_the_user_says(tmp_path):
    with work_folder(tmp_path / "work" / "here") as folder:
        assert folder.parent == tmp_path / "work" / "here"


def test_the_environment_is_as_before(output_dir):
    before = dict(os.environ)
    with work_folder(output_dir):
        pass
    assert dict(os.environ) == before


def test_the_folder_of_a_killed_process_is_removed(output_dir):
    abandoned = output_dir / f"{WORK_PREFIX}{platform.node()}-x"
    abandoned.mkdir(parents=True)
    (abandoned / "lock").touch()
    with work_folder(output_dir):
        assert not abandoned.exists()


def test_the_folder_of_a_living_process_is_kept(output_dir):
    with work_folder(output_dir) as first, work_folder(output_dir) as second:
        assert first.is_dir()
        assert second.is_dir()


def test_folders_of_other_machines_are_kept(output_dir):
    other = output_dir / f"{WORK_PREFIX}elsewhere-x"
    other.mkdir(parents=True)
    (other / "lock").touch()
    with work_folder(output_dir):
        assert other.is_dir()


def be_terminated(output_dir):
    with work_folder(output_dir):
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(5)


def test_a_termination_signal_removes_the_work_folder(output_dir):
    with pytest.raises(KeyboardInterrupt):
        be_terminated(output_dir)
    assert not output_dir.exists()


@pytest.fixture
def no_image(tmp_path, monkeypatch):
    """Return the user's folder of caches where there is no image."""
    monkeypatch.setattr(environment, "PREPARED_CACHES", tmp_path / "absent")
    monkeypatch.delenv("NUMBA_CACHE_DIR", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "taskglm"


def test_compiled_kernels_are_kept_for_the_user(output_dir, no_image):
    folders = []
    for _ in range(2):
        with work_folder(output_dir):
            folders.append(Path(os.environ["NUMBA_CACHE_DIR"]))
    assert folders[0] == folders[1]
    assert folders[0].parent == no_image
    assert folders[0].is_dir()
    assert folders[0].stat().st_mode & 0o077 == 0


def test_kernels_of_other_sources_are_kept_apart_and_old_ones_removed(output_dir, no_image, monkeypatch):
    with work_folder(output_dir):
        before = Path(os.environ["NUMBA_CACHE_DIR"])
    monkeypatch.setattr(environment, "digest_of_sources", lambda: "other")
    with work_folder(output_dir):
        assert Path(os.environ["NUMBA_CACHE_DIR"]) == no_image / "kernels-other"
    assert before.is_dir()
    os.utime(before, (0, 0))
    with work_folder(output_dir):
        assert not before.exists()


def test_a_change_of_any_kernel_is_another_cache(tmp_path):
    package = tmp_path / "bidsapp"
    shutil.copytree(Path(environment.__file__).parents[1], package)
    kernels = [path for path in package.rglob("*.py") if KERNEL.search(path.read_text())]
    assert {path.parent.name for path in kernels} >= {"fast", "voxels", "noise"}
    digests = [environment.digest_of_sources(package)]
    for path in kernels:
        path.write_text(path.read_text() + "\n")
        digests.append(environment.digest_of_sources(package))
    assert len(set(digests)) == len(kernels) + 1


@pytest.mark.parametrize("case", ["no HOME", "unwritable", "the image"])
def test_without_a_cache_of_the_user_the_work_folder_has_the_kernels(output_dir, no_image, monkeypatch, case):
    if case == "no HOME":
        monkeypatch.delenv("XDG_CACHE_HOME")
        monkeypatch.setattr(Path, "home", _no_home)
    elif case == "unwritable":
        no_image.parent.write_text("not a folder")
    else:
        monkeypatch.setattr(environment, "PREPARED_CACHES", Path(os.sep))
        monkeypatch.setattr(environment, "find_processor_level", lambda: None)
    with work_folder(output_dir) as folder:
        assert os.environ["NUMBA_CACHE_DIR"] == str(folder)


def _no_home():
    raise RuntimeError("Could not determine home directory.")


@pytest.fixture
def prepared(tmp_path, monkeypatch):
    """Caches as the image has them, on a processor of level 3."""
    for name in ("x86-64-v3", "x86-64-v4"):
        (tmp_path / "caches" / name).mkdir(parents=True)
        (tmp_path / "caches" / name / name).write_text("made before")
    monkeypatch.setattr(environment, "PREPARED_CACHES", tmp_path / "caches")
    monkeypatch.setattr(environment, "find_processor_level", lambda: "x86-64-v3")
    monkeypatch.delenv("NUMBA_CACHE_DIR", raising=False)


def test_prepared_caches_of_the_processor_are_used(output_dir, prepared):
    with work_folder(output_dir) as folder:
        assert {path.name for path in folder.iterdir()} == {"lock", "x86-64-v3"}
        assert os.environ["NUMBA_CPU_NAME"] == "x86-64-v3"
        assert os.environ["NUMBA_CPU_FEATURES"] == ""


def test_a_cache_that_the_user_chose_is_left_alone(output_dir, prepared, monkeypatch, tmp_path):
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path / "mine"))
    with work_folder(output_dir):
        assert "NUMBA_CPU_NAME" not in os.environ


@pytest.mark.parametrize(
    ("features", "level"),
    [
        (environment.LEVELS["x86-64-v4"], "x86-64-v4"),
        (environment.LEVELS["x86-64-v3"], "x86-64-v3"),
        ({"sse2"}, None),
    ],
)
def test_the_level_of_a_processor_is_told_by_its_features(tmp_path, features, level):
    path = tmp_path / "cpuinfo"
    path.write_text(f"processor\t: 0\nflags\t\t: {' '.join(features)}\n")
    assert environment.find_processor_level(path) == level


def test_an_unknown_processor_has_no_level(tmp_path):
    assert environment.find_processor_level(tmp_path / "absent") is None
