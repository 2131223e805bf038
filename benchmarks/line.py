"""Time the whole line beside a bare nilearn loop: python -m benchmarks.line [BIDS_DIR].

Both analyse the same dataset (default: the demo dataset, written afresh): run GLMs with smoothing 6 mm and
AR(1) noise, fixed effects over runs, one-sample group test. Ours also makes permutation inference with 1,000
shuffles, tables and all reports; nilearn's loop makes the maps of one contrast and keeps nothing. FitLins is
timed where it is installed.
"""

import argparse
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

PEER = """
import sys
import pandas as pd
from nilearn.glm.contrasts import compute_fixed_effects
from nilearn.glm.first_level import first_level_from_bids
from nilearn.glm.second_level import SecondLevelModel

bids, task, space, contrast = sys.argv[1:]
models, images, events, confounds = first_level_from_bids(
    bids, task, space_label=space, derivatives_folder="derivatives/fmriprep", smoothing_fwhm=6,
    img_filters=[("desc", "preproc")], confounds_strategy=("motion",), confounds_motion="basic",
)
maps = []
for model, runs, tables, regressors in zip(models, images, events, confounds):
    effects, variances = [], []
    for image, table, regressor in zip(runs, tables, regressors):
        model.fit(image, events=table[["onset", "duration", "trial_type"]], confounds=regressor)
        result = model.compute_contrast(contrast, output_type="all")
        effects.append(result["effect_size"])
        variances.append(result["effect_variance"])
    mask = model.masker_.mask_img_
    maps.append(compute_fixed_effects(effects, variances, mask, precision_weighted=True)[0])
group = SecondLevelModel().fit(maps, design_matrix=pd.DataFrame({"intercept": [1] * len(maps)}))
group.compute_contrast("intercept", output_type="all")
"""


def main():
    """Print the seconds of each program and the ratio."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("bids_dir", type=Path, nargs="?")
    parser.add_argument("--task", default="viewing")
    parser.add_argument("--contrast", default="face - house")
    parser.add_argument("--space", default="MNI152NLin2009cAsym")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        bids = arguments.bids_dir or make_dataset(Path(folder) / "bids")
        ours = time_command(make_command(bids, Path(folder) / "out", arguments))
        words = [bids, arguments.task, arguments.space, arguments.contrast]
        theirs = time_command([sys.executable, "-c", PEER, *words])
        print(f"TaskGLM, both levels, 1000 shuffles, all reports: {ours:8.1f} s")
        print(f"nilearn loop, maps of one contrast:               {theirs:8.1f} s")
        print(f"nilearn / TaskGLM:                                {theirs / ours:8.2f}")
        if shutil.which("fitlins"):
            seconds = time_command(make_peer_command(bids, Path(folder)))
            print(f"FitLins, no inference:                            {seconds:8.1f} s")
        else:
            print("FitLins: not installed, not timed")


def make_dataset(folder):
    """Write the demo dataset and return its folder."""
    subprocess.run([sys.executable, "-m", "bidsapp.demo", folder], check=True, stdout=subprocess.DEVNULL)
    return folder


def make_command(bids, out, arguments):
    """Return the command of the app."""
    run = Path(__file__).parents[1] / "run.py"
    contrast = f"benchmark={arguments.contrast}"
    levels = ["participant", "group"]
    return [
        sys.executable,
        run,
        bids,
        out,
        *levels,
        "--contrast",
        contrast,
        "--noise-model",
        "ar1",
        "--quiet",
    ]


def make_peer_command(bids, folder):
    """Return the command of FitLins, with the model that the app wrote."""
    model = next((folder / "out" / "code").glob("*_smdl.json"))
    return ["fitlins", bids, folder / "fitlins", "dataset", "-m", model, "-d", bids / "derivatives"]


def time_command(command):
    """Return the seconds that a command takes; a failure stops the benchmark."""
    start = time.monotonic()
    subprocess.run([*map(str, command)], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return time.monotonic() - start


if __name__ == "__main__":
    main()
