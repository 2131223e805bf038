"""Every kind of map of the group, read from disk: name, sign, unit and sidecar agree with the array.

Observed maps are computed again from the map of t (or F), slowly; corrected p from the table of the null.
"""

import json
from dataclasses import dataclass
from pathlib import Path

import nibabel as nib
import numpy as np
import oracles
import pandas as pd
import pytest
from makers.group_maps import N_SUBJECTS
from scipy import special, stats

from bidsapp.errors import EXIT_OK

# Maps and tables are written with seven digits, and t enters sums of cubes.
DIGITS = 2e-5
N_SHUFFLES = 64
ALPHA, FORMING_P = 0.1, 0.05
PAIRED = {"--group-design": ["paired", "A", "B"]}
SCENARIOS = {
    "two": PAIRED,
    "positive": PAIRED | {"--tail": ["positive"]},
    "negative": PAIRED | {"--tail": ["negative"]},
    "raw mass, faces": PAIRED | {"--cluster-mass": ["raw"], "--connectivity": [6]},
    "edges, surface": PAIRED | {"--connectivity": [18], "--tfce-preset": ["surface"]},
    "z, steps": PAIRED | {"--cluster-scale": ["z"], "--tfce-steps": [50]},
    "F": {"--group-design": ["anova", "family"]},
}
STATS = {"maxT": None, "maxSize": "size", "maxMass": "mass", "maxTFCE": "tfce"}


@dataclass(frozen=True)
class Results:
    """The results of one contrast."""

    name: str
    folder: Path

    @property
    def contrast(self):
        return "AFamily" if self.test == "F" else "AVsB"

    def path(self, ending):
        (path,) = self.folder.glob(f"group/*_contrast-{self.contrast}_{ending}")
        return path

    def map(self, name):
        return nib.load(self.path(f"stat-{name}_statmap.nii.gz")).get_fdata()

    def sidecar(self, name):
        return json.loads(self.path(f"stat-{name}_statmap.json").read_text())

    @property
    def test(self):
        return "F" if self.name == "F" else "t"

    @property
    def end(self):
        """How the tail is named."""
        return {"positive": "Pos", "negative": "Neg"}.get(self.name, "")

    @property
    def heights(self):
        """The map that clusters are sought in: t, F, or z."""
        values = self.map("z" if self.name in ("z, steps", "F") else "t")
        return np.nan_to_num(values)

    def sides(self, values):
        """Return the sign and the one-sided map of each tested side."""
        sides = {"positive": [1], "negative": [-1], "F": [1]}.get(self.name, [1, -1])
        return [(sign, np.maximum(sign * values, 0)) for sign in sides]


# An F test has no signed effect.
signed = pytest.mark.parametrize(
    "results", [name for name in SCENARIOS if name != "F"], indirect=True, scope="module"
)


@pytest.fixture(scope="module", params=SCENARIOS)
def results(request, call_group, group_maps):
    common = {"--n-permutations": [N_SHUFFLES], "--cluster-forming-p": [FORMING_P], "--alpha": [ALPHA]}
    one = {"--estimates": [group_maps.parent / "one"]} if request.param == "F" else {}
    call = call_group(common | {"--seed": [3], "--atlas": ["aal"]} | one | SCENARIOS[request.param])
    assert call.code == EXIT_OK
    return Results(request.param, call.out)


def form_clusters(results):
    """Return the sizes and masses of each point's cluster, signed, point by point."""
    rank = {"raw mass, faces": 1, "edges, surface": 2}.get(results.name, 3)
    size, mass = (np.zeros(results.heights.shape) for _ in range(2))
    dof = results.sidecar(results.test)["DegreesOfFreedom"]
    on_z = results.name in ("z, steps", "F")
    offset = cutoff = stats.norm.isf(FORMING_P) if on_z else stats.t.isf(FORMING_P, dof)
    assert results.sidecar("size")["ClusterFormingThreshold"] == pytest.approx(offset, rel=1e-6)
    offset = 0.0 if results.name == "raw mass, faces" else offset
    for sign, side in results.sides(results.heights):
        labels, _, _ = oracles.clusters_of(side, cutoff, rank, 0.0)
        for label in range(1, labels.max() + 1):
            inside = labels == label
            size[inside] = sign * inside.sum()
            mass[inside] = sign * (sign * results.heights[inside] - offset).sum()
    return size, mass


def test_sizes_and_masses_are_those_of_the_map(results):
    size, mass = form_clusters(results)
    inside = np.isfinite(results.map(results.test))
    np.testing.assert_array_equal(results.map("size")[inside], size[inside])
    np.testing.assert_allclose(results.map("mass")[inside], mass[inside], rtol=DIGITS, atol=DIGITS)
    assert (size != 0).any()


def test_tfce_is_that_of_the_map(results):
    powers = (1.0, 2.0) if results.name == "edges, surface" else (0.5, 2.0)
    expected = np.zeros(results.heights.shape)
    for sign, side in results.sides(results.heights):
        if results.name == "z, steps":
            expected += sign * oracles.enhanced_by_steps(side, 50, powers)
        else:
            expected += sign * oracles.enhanced(side, powers)
    inside = np.isfinite(results.map(results.test))
    largest = np.abs(expected).max()
    np.testing.assert_allclose(results.map("tfce")[inside], expected[inside], atol=DIGITS * largest)


@pytest.mark.parametrize("name", STATS)
def test_corrected_p_is_the_share_of_the_null_that_reaches_the_map(results, name):
    null = pd.read_csv(results.path("nullmax.tsv"), sep="\t")[name].to_numpy()
    assert len(null) == N_SHUFFLES == results.sidecar(f"logp_desc-{name}{results.end}")["Permutations"]
    observed = results.map(STATS[name] or results.test)
    inside = np.isfinite(observed)
    one_sided = {"Pos": 1, "Neg": -1}.get(results.end)
    observed = np.abs(observed) if one_sided is None else one_sided * observed
    reached = null[:, None] >= observed[inside] * (1 - 1e-6) - 1e-9
    found = results.map(f"logp_desc-{name}{results.end}")[inside]
    np.testing.assert_allclose(found, -np.log10(reached.mean(axis=0)), atol=1e-5)


@pytest.mark.parametrize("name", STATS)
def test_surviving_points_are_those_whose_corrected_p_is_below_alpha(results, name):
    statistic, survived = results.map(results.test), results.map(f"{results.test}_desc-{name}Thr")
    logp = results.map(f"logp_desc-{name}{results.end}")
    inside = np.isfinite(statistic)
    expected = np.where(logp[inside] >= -np.log10(ALPHA) - 1e-6, statistic[inside], 0.0)
    np.testing.assert_array_equal(survived[inside], expected)


def test_t_p_and_z_are_of_one_another(results):
    statistic, p, z = (results.map(name) for name in (results.test, "p", "z"))
    inside = np.isfinite(statistic)
    dof = results.sidecar(results.test)["DegreesOfFreedom"]
    if results.test == "F":
        expected = stats.f.sf(statistic[inside], *dof)
        two_sided = expected
    else:
        assert dof == N_SUBJECTS - 1
        two_sided = 2 * stats.t.sf(np.abs(statistic[inside]), dof)
        tails = {"Pos": stats.t.sf(statistic[inside], dof), "Neg": stats.t.cdf(statistic[inside], dof)}
        expected = tails.get(results.end, two_sided)
        np.testing.assert_allclose(np.sign(z[inside]), np.sign(statistic[inside]))
        np.testing.assert_allclose(stats.norm.sf(np.abs(z[inside])) * 2, two_sided, rtol=1e-4)
    np.testing.assert_allclose(p[inside], expected, rtol=1e-4)


def test_rates_are_adjusted_as_benjamini_and_hochberg_do(results):
    p, q = results.map("p"), results.map("q_desc-fdrBH")
    inside = np.isfinite(p)
    np.testing.assert_allclose(q[inside], stats.false_discovery_control(p[inside]), rtol=1e-4)


@pytest.mark.parametrize("name", ["holm", "bonferroni", "rftPeak", "rftSize", "fdrBH", "fdrBKY"])
def test_p_of_every_threshold_is_a_map_with_the_p_of_the_tables(results, name):
    label = f"q_desc-{name}" if name.startswith("fdr") else f"logp_desc-{name}"
    values, affine = results.map(label), nib.load(results.path("stat-z_statmap.nii.gz")).affine
    adjusted, n_compared = values if name.startswith("fdr") else 10.0**-values, 0
    for path in results.folder.glob(f"group/*_contrast-{results.contrast}_*_peaks.tsv"):
        table, column = pd.read_csv(path, sep="\t"), f"{'q' if label[0] == 'q' else 'p'}_{name}"
        if column not in table:
            continue
        places = nib.affines.apply_affine(np.linalg.inv(affine), table[["peak_x", "peak_y", "peak_z"]])
        found = adjusted[tuple(np.rint(places).astype(int).T)]
        np.testing.assert_allclose(found, table[column], rtol=1e-4)
        n_compared += len(table)
    assert n_compared > 5


def test_active_share_of_a_voxel_is_that_of_its_cluster(results):
    share = results.map("tdp_desc-ari")
    inside, shares, labels = np.isfinite(share), np.zeros(1), np.zeros(share.shape)
    if list(results.folder.glob("group/*_desc-ari_dseg.nii.gz")):
        table = pd.read_csv(results.path("desc-ari_clusters.tsv"), sep="\t")
        shares = np.append(shares, table["tdp"])
        labels = nib.load(results.path("desc-ari_dseg.nii.gz")).get_fdata()
    np.testing.assert_allclose(share[inside], shares[labels[inside].astype(int)], rtol=1e-5)
    assert (shares.max() > 0) == (results.name not in ("positive", "F"))


@signed
def test_effect_variance_and_sizes_belong_to_t(results):
    t, effect, variance, d, g = (results.map(name) for name in ("t", "effect", "variance", "d", "g"))
    inside = np.isfinite(t)
    np.testing.assert_allclose(effect[inside] / np.sqrt(variance[inside]), t[inside], rtol=DIGITS)
    np.testing.assert_allclose(d[inside], t[inside] / np.sqrt(N_SUBJECTS), rtol=DIGITS)
    dof = N_SUBJECTS - 1
    correction = np.exp(special.gammaln(dof / 2) - special.gammaln((dof - 1) / 2)) / np.sqrt(dof / 2)
    np.testing.assert_allclose(g[inside], correction * d[inside], rtol=1e-4)
    share = t[inside] ** 2 / (t[inside] ** 2 + dof)
    np.testing.assert_allclose(results.map("partialrsquare")[inside], share, rtol=1e-4)
    low, high = results.map("gLow")[inside], results.map("gHigh")[inside]
    assert ((low < g[inside]) & (g[inside] < high)).all()


@signed
def test_effects_are_the_means_of_the_differences(results, group_maps):
    a, b = (
        np.array(
            [
                nib.load(p).get_fdata()
                for p in sorted(group_maps.glob(f"*/*_contrast-{name}_stat-effect_*.nii.gz"))
            ]
        )
        for name in "AB"
    )
    effect = results.map("effect")
    inside = np.isfinite(effect)
    np.testing.assert_allclose(effect[inside], (a - b).mean(axis=0)[inside], rtol=1e-4, atol=1e-6)


SAID = {
    "two": "two-sided",
    "positive": "one-sided, positive effects",
    "negative": "one-sided, negative effects",
}


def test_sidecars_say_what_was_done(results):
    for path in results.folder.glob("group/*_statmap.json"):
        said = json.loads(path.read_text())
        assert said["SkullStripped"] is True
        if "stat-logp_desc-max" in path.name:
            assert said["NumberOfSubjects"] == N_SUBJECTS
            assert (said["Seed"], said["Permutations"]) == (3, N_SHUFFLES)
            # Each map says the conventions of its own statistic, and no others.
            forms_clusters = "desc-maxSize" in path.name or "desc-maxMass" in path.name
            assert said.get("ClusterFormingP") == (FORMING_P if forms_clusters else None)
            assert said["SmallestP"] == 1 / N_SHUFFLES
    if results.name in SAID:
        assert results.sidecar(f"logp_desc-maxT{results.end}")["AlternativeHypothesis"] == SAID[results.name]


UNITS = {
    "probability": ("p", "q"),
    "count": ("size", "n", "coverage", "dof"),
    "standard deviations": ("d", "g", "gLow", "gHigh"),
    "arbitrary": ("t", "z", "F", "mass", "tfce", "logp"),
    "fraction": ("partialrsquare", "epsilonGG"),
}


def test_units_are_those_of_the_quantity(results):
    units = {stat: unit for unit, names in UNITS.items() for stat in names}
    seen = set()
    for path in results.folder.glob("group/*_statmap.json"):
        stat = path.name.split("_stat-")[1].split("_")[0]
        seen.add(stat)
        if stat in units:
            assert json.loads(path.read_text())["Units"] == units[stat], path.name
    assert {"p", "q", "size", "mass", "tfce", "logp"} <= seen


def test_effects_are_written_as_they_are_tested_where_they_are_smoothed(call_group):
    call = call_group(PAIRED | {"--n-permutations": [0], "--group-smoothing-fwhm": [20], "--atlas": ["aal"]})
    (record,) = call.records
    (contrast,) = record["contrasts"]
    tested, effect = (
        nib.load(call.out / path).get_fdata() for path in (contrast["tested"], contrast["maps"]["effect"])
    )
    names = np.array([one["contrast"] for one in contrast["inputs"]])
    inside = np.isfinite(effect)
    expected = tested[..., names == "A"].mean(axis=-1) - tested[..., names == "B"].mean(axis=-1)
    np.testing.assert_allclose(expected[inside], effect[inside], rtol=1e-4, atol=1e-6)
    said = json.loads((call.out / contrast["tested"].replace(".nii.gz", ".json")).read_text())
    assert said["Inputs"] == [one["effect"] for one in contrast["inputs"]]
    assert said["GroupSmoothingFWHM"] == 20
