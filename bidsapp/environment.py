"""What the job may use: processors, memory, and folders for temporary files."""

import os
import shutil
import tempfile
from contextlib import contextmanager
from pathlib import Path

from bidsapp.outputs.files import make_folder

WORK_PREFIX = ".taskglm-work-"
# Libraries would otherwise use every processor in every worker process.
THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS")


def count_cpus(requested=0):
    """Return how many processors to use: those asked for, else those that the job may use."""
    if requested > 0:
        return requested
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    limits = [
        int(os.environ[name]) for name in ("SLURM_CPUS_PER_TASK",) if os.environ.get(name, "").isdigit()
    ]
    quota = _cgroup_value("cpu.max")
    if quota and quota[0].isdigit():
        limits.append(max(1, int(quota[0]) // int(quota[1])))
    return max(1, min([allowed, *limits]))


def find_memory_gb(requested=0.0):
    """Return how much memory to stay below in GB: that asked for, else nine tenths of the job's."""
    if requested > 0:
        return requested
    limits = [os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")]
    if os.environ.get("SLURM_MEM_PER_NODE", "").isdigit():
        limits.append(int(os.environ["SLURM_MEM_PER_NODE"]) * 2**20)
    quota = _cgroup_value("memory.max")
    if quota and quota[0].isdigit():
        limits.append(int(quota[0]))
    return 0.9 * min(limits) / 1e9


def _cgroup_value(name):
    try:
        return Path("/sys/fs/cgroup", name).read_text().split()
    except OSError:
        return []


@contextmanager
def work_folder(settings):
    """Give a work folder, point every library's temporary files and caches to it, remove it at the end.

    Nothing outside the output and work folders is written: the root may be read-only, HOME unset.
    """
    parent = settings.control.work_dir or settings.output_dir
    make_folder(parent)
    folder = Path(tempfile.mkdtemp(prefix=WORK_PREFIX, dir=parent))
    before = dict(os.environ)
    os.environ.update({"TMPDIR": str(folder), "MPLCONFIGDIR": str(folder), "JOBLIB_TEMP_FOLDER": str(folder)})
    os.environ.setdefault("NUMBA_CACHE_DIR", str(folder))
    os.environ.setdefault("NILEARN_DATA", str(folder))
    for name in THREAD_VARIABLES:
        os.environ.setdefault(name, "1")
    tempfile.tempdir = None
    try:
        yield folder
    finally:
        os.environ.clear()
        os.environ.update(before)
        tempfile.tempdir = None
        shutil.rmtree(folder, ignore_errors=True)
