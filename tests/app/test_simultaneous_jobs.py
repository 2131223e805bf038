"""Eight participant jobs that start at the same instant in one output folder, twenty times."""

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import pytest

from bidsapp.demo import make_demo

ROOT = Path(__file__).parents[2]
N_JOBS, N_ROUNDS = 8, 20


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("simultaneous") / "data"
    make_demo(folder, n_subjects=N_JOBS, voxel_size_mm=10.0, n_volumes=40)
    return folder


@pytest.fixture(scope="module")
def environment(tmp_path_factory):
    """One cache of kernels for all jobs: they are to write results at the same time, not to compile."""
    cache = tmp_path_factory.mktemp("kernels")
    return {**os.environ, "OMP_NUM_THREADS": "1", "NUMBA_CACHE_DIR": str(cache)}


def start(data, out, environment, *labels):
    command = [sys.executable, str(ROOT / "run.py"), str(data), str(out), "participant", "--quiet"]
    return subprocess.Popen(
        [*command, "--n-cpus", "1", *(["--participant-label", *labels] if labels else [])],
        env=environment,
        stderr=subprocess.PIPE,
    )


def finish(job):
    _, said = job.communicate()
    assert job.returncode == 0, said.decode()


def checksums(folder):
    """Return the digest of every file but records and reports, which hold times."""
    paths = [path for path in folder.rglob("*") if path.is_file() and path.suffix != ".html"]
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in paths
        if "logs" not in path.relative_to(folder).parts
    }


@pytest.mark.slow
def test_jobs_that_start_together_leave_what_one_job_leaves(data, tmp_path, environment):
    finish(start(data, tmp_path / "alone", environment))
    expected = checksums(tmp_path / "alone")
    overview = (tmp_path / "alone" / "index.html").read_text()

    for number in range(N_ROUNDS):
        out = tmp_path / f"round{number}"
        jobs = [start(data, out, environment, f"{label:02d}") for label in range(1, N_JOBS + 1)]
        for job in jobs:
            finish(job)
        assert checksums(out) == expected
        assert {path.name for path in out.glob("*.html")} == {
            path.name for path in (tmp_path / "alone").glob("*.html")
        }
        assert all(f"sub-{label:02d}" in (out / "index.html").read_text() for label in range(1, N_JOBS + 1))
    assert "sub-08" in overview
