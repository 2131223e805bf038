"""The whole line on a small dataset: both levels, their outputs, reruns, failures."""

import hashlib
import json
import shutil
import subprocess

import nibabel
import numpy as np
import pandas as pd
import pytest
from outcomes import call_app

from bidsapp.errors import EXIT_FAILURE, EXIT_OK

# With 4 subjects there are 16 sign flips: no smaller alpha can be reached.
# With this noise model, false discovery rates of four participants find something; tables are looked at here.
GROUP_OPTIONS = ["--alpha", "0.13", "--n-permutations", "16", "--noise-model", "ar1-reml"]


def analyse(dataset, out, *options, levels=("participant", "group"), pages=False):
    return call_app([dataset, out, *levels, *GROUP_OPTIONS, *options], pages=pages)


@pytest.fixture(scope="module")
def results(tiny_dataset, tmp_path_factory):
    """Return the output folder of both levels."""
    out = tmp_path_factory.mktemp("line") / "out"
    assert analyse(tiny_dataset, out, "--n-cpus", "1", pages=True) == EXIT_OK
    return out


def digests(folder):
    """Return the digest of every result; records and reports hold times."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.suffix in (".gz", ".tsv") or path.name.endswith("statmap.json")
    }


def test_every_map_and_table_has_a_complete_sidecar(results):
    data = [p for p in results.rglob("*") if p.name.endswith(("statmap.nii.gz", "mask.nii.gz", ".tsv"))]
    without = [p.name for p in data if not p.with_name(p.name.split(".")[0] + ".json").exists()]
    assert len(data) > 100
    assert without == []


def test_statistical_maps_name_what_the_validator_needs(results):
    for path in results.rglob("*_statmap.json"):
        assert {"Description", "Units", "SkullStripped", "Resolution"} <= set(json.loads(path.read_text()))


def test_nothing_unfinished_is_left(results):
    assert [p for p in results.rglob(".*") if p.name != ".bidsignore"] == []


def test_the_output_is_a_valid_bids_dataset(results):
    done = subprocess.run(["bids-validator-deno", str(results)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-2000:]


def test_the_number_of_processors_changes_no_byte(results, tiny_dataset, tmp_path):
    assert analyse(tiny_dataset, tmp_path / "out", "--n-cpus", "2") == EXIT_OK
    assert digests(tmp_path / "out") == digests(results)


def test_one_job_a_participant_gives_the_same_bytes(results, tiny_dataset, tmp_path):
    for label in ("01", "02", "03", "04"):
        # With processors left over, runs and contrasts are treated side by side.
        words = ("--participant-label", label, "--n-cpus", "4")
        assert analyse(tiny_dataset, tmp_path, *words, levels=("participant",)) == EXIT_OK
    assert analyse(tiny_dataset, tmp_path, levels=("group",)) == EXIT_OK
    assert digests(tmp_path) == digests(results)


def test_finished_work_is_not_done_again(results, tiny_dataset, capsys):
    before = {p: p.stat().st_mtime_ns for p in results.rglob("*.nii.gz")}
    assert analyse(tiny_dataset, results) == EXIT_OK
    assert {p: p.stat().st_mtime_ns for p in results.rglob("*.nii.gz")} == before
    assert "sub-01: finished before, nothing changed" in capsys.readouterr().err


def test_changed_settings_redo_the_work(results, tiny_dataset, tmp_path):
    shutil.copytree(results, tmp_path / "out")
    assert (
        analyse(tiny_dataset, tmp_path / "out", "--smoothing-fwhm", "0", levels=("participant",)) == EXIT_OK
    )
    name = next(p.relative_to(results) for p in results.rglob("sub-01*run-1*stat-t_statmap.nii.gz"))
    assert (tmp_path / "out" / name).read_bytes() != (results / name).read_bytes()


def test_a_broken_run_does_not_stop_the_others(tiny_dataset, tmp_path, capsys):
    dataset = tmp_path / "data"
    shutil.copytree(tiny_dataset, dataset)
    broken = next(dataset.rglob("sub-02*run-1*desc-preproc_bold.nii.gz"))
    content = broken.read_bytes()
    broken.write_bytes(content[: len(content) // 2])
    assert analyse(dataset, tmp_path / "out", levels=("participant",)) == EXIT_FAILURE
    assert broken.name in capsys.readouterr().err
    records = [json.loads(p.read_text()) for p in sorted((tmp_path / "out" / "logs").glob("sub-*.json"))]
    assert [r["status"] for r in records] == ["complete", "partial", "complete", "complete"]
    combined = [e for e in records[1]["estimates"] if e["level"] == "subject"]
    assert all(len(estimate["runs"]) == 1 for estimate in combined)
    assert not list((tmp_path / "out" / "sub-02").rglob("*run-1*"))


def test_reports_figures_and_methods_are_rebuilt_from_the_maps_byte_by_byte(results, tiny_dataset, tmp_path):
    out = tmp_path / "out"
    shutil.copytree(results, out)
    made = [*out.glob("*.html"), *out.glob("*/figures/*"), *out.glob("logs/CITATION.*")]
    before = {path: path.read_bytes() for path in made}
    for path in made:
        path.unlink()
    assert analyse(tiny_dataset, out, "--reports-only", pages=True) == EXIT_OK
    assert len(made) > 60
    assert [path.name for path in made if not path.is_file() or path.read_bytes() != before[path]] == []


def test_tables_list_every_measure_of_clusters_and_peaks(results):
    place = {"cluster_id", "sign", "peak_x", "peak_y", "peak_z"}
    values = {"t", "z", "effect", "g"}
    clusters, peaks = (sorted(results.glob(f"group/*_{kind}.tsv")) for kind in ("clusters", "peaks"))
    assert len(clusters) == len(peaks) > 1
    for path in clusters:
        columns = set(pd.read_csv(path, sep="\t").columns)
        assert columns >= place | values | {"n_voxels", "volume_mm3", "tdp", "aal", "harvard_oxford"}
        assert columns <= set(json.loads(path.with_suffix(".json").read_text()))
    values |= {"partialrsquare", "effect_se", "effect_low", "effect_high"}
    assert all(set(pd.read_csv(path, sep="\t").columns) >= place | values | {"peak"} for path in peaks)


def test_tables_hold_the_p_of_their_own_threshold_only_and_first(results):
    own = {"maxTFCE": "p_fwe_tfce", "maxMass": "p_fwe_mass", "maxSize": "p_fwe_size", "fdrBH": "q"}
    own |= {"fdrBKY": "q", "fdrPermutation": "q", "uncorrected": "p", "ari": None}
    known = {"p", "q", *(f"p_fwe{ending}" for ending in ("", "_size", "_mass", "_tfce"))}
    tables = [*results.glob("group/*_clusters.tsv"), *results.glob("group/*_peaks.tsv")]
    for path in tables:
        table = pd.read_csv(path, sep="\t")
        method = path.name.split("_desc-")[1].split("_")[0]
        expected = own.get(method, "p_fwe")
        assert known & set(table.dropna(axis=1, how="all")) == ({expected} if expected else set())
        if expected:
            assert list(table).index(expected) == list(table).index("t") - 1
            assert table[expected].max() <= (0.001 if method == "uncorrected" else 0.13)
        if method == "maxTFCE":
            words = path.with_suffix(".json").read_text()
            assert "enhancement" in words
            assert (
                ("p_fwe_size" in table) == ("The table of maxSize" in words) == path.match("*_clusters.tsv")
            )
    assert {path.name.split("_desc-")[1].split("_")[0] for path in tables} >= {"fdrBH", "uncorrected"}


def test_the_planted_effect_is_found(results, tiny_dataset):
    record = json.loads(next((results / "logs").glob("*_group.json")).read_text())
    truth_path = sorted((tiny_dataset / "truth").glob("*.nii.gz"))[0]
    truth = np.asarray(nibabel.load(truth_path).dataobj, float)
    name = truth_path.name.split(".")[0]
    contrast = next(entry for entry in record["contrasts"] if entry["name"] == name)
    t = np.asarray(nibabel.load(results / contrast["maps"]["t"]).dataobj, float)
    assert np.nanmean(t[truth > 0.5 * truth.max()]) > 2
    assert abs(np.nanmean(t[np.abs(truth) < 0.01])) < 0.5
