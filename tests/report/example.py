"""A small but complete output folder, as docs/records.md describes it: what the stages write.

``python -m tests.report.example OUT`` writes it and its reports.
"""

import sys
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.ndimage import gaussian_filter
from scipy.stats import norm
from scipy.stats import t as student

from bidsapp import names
from bidsapp.outputs.files import write_json
from bidsapp.outputs.images import write_labels, write_map, write_mask
from bidsapp.outputs.tables import write_table
from bidsapp.records.maps import EffectStack, Geometry
from bidsapp.settings.parts import GroupOptions, ModelOptions, PermutationOptions, RunOptions, Selection
from bidsapp.tables.atlas import add_labels, describe_atlases, read_atlases
from bidsapp.tables.clusters import describe_columns, make_cluster_table
from bidsapp.tables.peaks import make_peak_effects

SPACE = "MNI152NLin2009cAsym"
N_VOLUMES, TR = 120, 2.0
N_SHUFFLES = 64
HOSTILE = "<script>alert('x')</script> & \"Ä → 語\""
VERSIONS = {"taskglm": "0.1.0", "python": "3.12.1", "numpy": "2.4.6", "scipy": "1.17.1", "nilearn": "0.14.1"}


def make_geometry(step=8.0):
    """Return a brain-sized ellipsoid on a coarse MNI grid."""
    affine = np.diag([step, step, step, 1.0])
    affine[:3, 3] = (-72, -104, -64)
    shape = tuple(int(round(n / step)) for n in (146, 184, 150))
    grid = np.argwhere(np.ones(shape, bool)) @ affine[:3, :3] + affine[:3, 3]
    inside = (np.square((grid - (0, -16, 8)) / (66, 84, 66)).sum(axis=1) < 1).reshape(shape)
    return Geometry(inside, affine)


class Example:
    """Writes the records, maps and tables of a few subjects and one group."""

    def __init__(
        self,
        folder,
        *,
        n_subjects=6,
        contrasts=("incongruent - congruent", "responseGtRest"),
        step=8.0,
        seed=0,
        hostile=False,
    ):
        self.folder, self.geometry = Path(folder), make_geometry(step)
        self.rng = np.random.default_rng(seed)
        self.contrasts = (*contrasts, HOSTILE) if hostile else contrasts
        self.conditions = ["congruent", "incongruent", HOSTILE if hostile else "error"]
        self.subjects = [f"{i + 1:02d}" for i in range(n_subjects)]
        self.hostile = hostile
        positions = self.geometry.coordinates()
        self.truth = {
            name: 0.9 * blob(positions, (-38, -22, 52))
            - 0.8 * blob(positions, (4 + 20 * i, -70, -20))
            + 0.6 * blob(positions, (40, 20, 10 * i))
            for i, name in enumerate(self.contrasts)
        }
        self.estimates = {}

    def write(self):
        """Write everything and return the folder."""
        for subject in self.subjects:
            self.write_subject(subject)
        self.write_group()
        return self.folder

    def common(self, kind):
        return {
            "schema": 1,
            "kind": kind,
            "status": "complete",
            "fingerprint": "0" * 64,
            "started": "2026-01-01T10:00:00Z",
            "finished": "2026-01-01T10:00:12Z",
            "seconds": 12.3,
            "settings": {
                "selection": asdict(Selection()),
                "model": asdict(ModelOptions()),
                "run": asdict(RunOptions()),
                "group": asdict(GroupOptions()),
                "permutation": asdict(PermutationOptions()),
            },
            "versions": VERSIONS,
            "model": {
                "name": "stroop",
                "path": names.model_path("stroop"),
                "automatic": True,
                "notes": [f"m.json, line 3: a note on {HOSTILE if self.hostile else 'a name'}"],
            },
            "command": "run.py bids out participant group --participant-label 01 02",
            "warnings": [f"sub-01: a warning about {HOSTILE if self.hostile else 'the condition error'}."],
        }

    def noise(self):
        smooth = gaussian_filter(self.rng.standard_normal(self.geometry.mask.shape), 1.2)
        return (smooth / smooth.std())[self.geometry.mask]

    def put(self, path, values):
        write_map(self.folder / path, values, self.geometry, space=SPACE)
        return path

    def write_subject(self, subject):
        runs = [self.run(subject, str(i + 1)) for i in range(2)]
        estimates = [
            e for i in range(2) for e in self.estimate(subject, {"run": str(i + 1)}, runs[i : i + 1])
        ]
        estimates += self.estimate(subject, {}, runs)
        record = {**self.common("participant"), "subject": subject, "runs": runs, "estimates": estimates}
        write_json(self.folder / names.record_path(subject), record)

    def run(self, subject, run):
        entities = {"sub": subject, "task": "stroop", "run": run, "space": SPACE}
        node, times = "runLevel", np.arange(N_VOLUMES) * TR
        matrix, columns, events = self.design(times)
        design, weights = names.design_path(entities, node=node), names.contrasts_path(entities, node=node)
        frame = pd.DataFrame(matrix, columns=columns)
        frame.insert(0, "frame_time", times)
        write_table(self.folder / design, frame)
        contrasts = [
            {"name": n, "test": "t", "weights": {columns[1]: 1.0, columns[0]: -1.0}} for n in self.contrasts
        ]
        write_table(self.folder / weights, weight_table(contrasts, columns))
        mask = names.mask_path(entities)
        write_mask(self.folder / mask, self.geometry, space=SPACE)
        fit = {
            s: names.model_fit_path(entities, node=node, stat=s)
            for s in ("rsquare", "tsnr", "sigmasquared", "ar1")
        }
        for stat, path in fit.items():
            level = {"rsquare": 0.3, "tsnr": 60.0, "sigmasquared": 1.0, "ar1": 0.25}[stat]
            self.put(path, np.abs(level * (1 + 0.3 * self.noise())))
        motion = np.cumsum(self.rng.normal(0, 0.02, (N_VOLUMES, 6)), axis=0)
        displacement = np.abs(self.rng.normal(0.1, 0.08, N_VOLUMES))
        displacement[40] = 1.2
        keys = ["trans_x", "trans_y", "trans_z", "rot_x", "rot_y", "rot_z"]
        return {
            "label": f"sub-{subject} task-stroop run-{run}",
            "entities": entities,
            "node": node,
            "files": {
                "bold": f"bids:fmriprep:sub-{subject}/func/sub-{subject}_task-stroop_run-{run}_bold.nii.gz",
                "mask": None,
                "events": f"bids:raw:sub-{subject}/func/sub-{subject}_task-stroop_run-{run}_events.tsv",
                "confounds": None,
            },
            "repetition_time": TR,
            "start_time": 1.0,
            "start_time_source": "StartTime of the sidecar",
            "n_volumes": N_VOLUMES,
            "n_voxels": self.geometry.n_points,
            "dof": 100.0,
            "confounds": keys,
            "censored": [40, 41],
            "motion": {
                "framewise_displacement": [None, *displacement[1:]],
                **dict(zip(keys, motion.T, strict=True)),
            },
            "events": events,
            "design": design,
            "contrast_table": weights,
            "contrasts": contrasts,
            "skipped": [
                {"contrast": self.conditions[2], "reason": f"run-{run} has no event of {self.conditions[2]}"}
            ]
            if run == "2"
            else [],
            "vif": {c["name"]: 1.0 + 4.5 * i for i, c in enumerate(contrasts)},
            "mask": mask,
            "model_fit": fit,
            "noise_model": "ar1",
        }

    def design(self, times):
        onsets = np.sort(self.rng.uniform(4, times[-1] - 10, 45))
        kinds = [self.conditions[int(k)] for k in self.rng.choice(3, 45, p=[0.47, 0.47, 0.06])]
        events = [
            {"onset": round(o, 2), "duration": 1.5, "trial_type": k}
            for o, k in zip(onsets, kinds, strict=True)
        ]
        shape = np.maximum(0, times[:10]) ** 3 * np.exp(-times[:10] / 1.6)
        boxes = [
            np.histogram(
                [e["onset"] for e in events if e["trial_type"] == c], np.append(times, times[-1] + TR)
            )[0]
            for c in self.conditions
        ]
        regressors = [np.convolve(box, shape / shape.sum())[: len(times)] for box in boxes]
        motion = np.cumsum(self.rng.normal(0, 0.02, (6, len(times))), axis=1)
        drift = [np.cos(np.pi * k * (np.arange(len(times)) + 0.5) / len(times)) for k in range(1, 4)]
        columns = [
            *self.conditions,
            "trans_x",
            "trans_y",
            "trans_z",
            "rot_x",
            "rot_y",
            "rot_z",
            *(f"drift_{k}" for k in range(1, 4)),
            "intercept",
        ]
        return np.column_stack([*regressors, *motion, *drift, np.ones(len(times))]), columns, events

    def estimate(self, subject, extra, runs):
        node, level = ("runLevel", "run") if extra else ("subjectLevel", "subject")
        entities = {"sub": subject, "task": "stroop", **extra, "space": SPACE}
        made = []
        for name in self.contrasts:
            effect = self.truth[name] * self.rng.normal(1, 0.2) + 0.35 * self.noise() / np.sqrt(len(runs))
            variance = np.full_like(effect, 0.12 / len(runs))
            t = effect / np.sqrt(variance)
            values = {"effect": effect, "variance": variance, "t": t, "z": t, "p": 2 * norm.sf(np.abs(t))}
            maps = {
                s: self.put(names.map_path(entities, node=node, contrast=name, stat=s), v)
                for s, v in values.items()
            }
            made.append(
                {
                    "node": node,
                    "level": level,
                    "entities": entities,
                    "contrast": name,
                    "test": "t",
                    "method": "fixed effects" if level == "subject" else "run GLM",
                    "runs": [r["label"] for r in runs],
                    "left_out": [],
                    "dof": 100.0 * len(runs),
                    "units": "% signal change",
                    "maps": maps,
                    "mask": runs[0]["mask"],
                }
            )
            if level == "subject":
                self.estimates.setdefault(name, []).append((effect, variance, maps))
        return made

    def write_group(self):
        node, entities = "datasetLevel", {"task": "stroop", "space": SPACE}
        labels = [f"sub-{s}" for s in self.subjects]
        design, weights = names.design_path(entities, node=node), names.contrasts_path(entities, node=node)
        write_table(self.folder / design, pd.DataFrame({"participant_id": labels, "intercept": 1.0}))
        write_table(
            self.folder / weights,
            weight_table([{"name": "1", "test": "t", "weights": {"intercept": 1.0}}], ["intercept"]),
        )
        mask, coverage = (
            names.mask_path(entities, node=node),
            names.coverage_path(entities, node=node, contrast="all"),
        )
        write_mask(self.folder / mask, self.geometry, space=SPACE)
        self.put(coverage, np.full(self.geometry.n_points, len(labels)))
        subjects = [
            {
                "label": s,
                "used": True,
                "reason": "",
                "coverage": 0.99,
                "covariates": {"age": 20 + i, "site": HOSTILE if self.hostile else "A"},
            }
            for i, s in enumerate(labels)
        ]
        subjects.append(
            {
                "label": "sub-99",
                "used": False,
                "reason": "no run could be used: events are missing",
                "covariates": {},
            }
        )
        record = {
            **self.common("group"),
            "node": node,
            "entities": entities,
            "description": f"One-sample t test: does the mean of {len(labels)} subjects differ from zero?",
            "formula": "effect ~ 1",
            "estimator": "ordinary least squares",
            "subjects": subjects,
            "n_voxels": self.geometry.n_points,
            "voxel_size_mm": [float(self.geometry.affine[0, 0])] * 3,
            "mask": mask,
            "coverage": coverage,
            "design": design,
            "contrast_table": weights,
            "contrasts": [self.group_contrast(name, entities, node, labels) for name in self.contrasts],
        }
        write_json(self.folder / names.group_record_path(entities, node), record)

    def group_contrast(self, name, entities, node, labels):
        effects = np.array([e for e, _, _ in self.estimates[name]], np.float32)
        n = len(effects)
        mean, variance = effects.mean(0), effects.var(0, ddof=1) / n
        t = mean / np.sqrt(variance)
        p = 2 * norm.sf(np.abs(t) * 0.8)
        z = np.sign(t) * norm.isf(p / 2)
        p_fwe = np.clip(np.rint(N_SHUFFLES * np.exp(1 - np.abs(z))), 1, N_SHUFFLES) / N_SHUFFLES
        g = t / np.sqrt(n)
        stats = {"effect": mean, "variance": variance, "t": t, "z": z, "p": p, "g": g}
        stats |= {"gLow": g - 1, "gHigh": g + 1}
        maps = {
            s: self.put(names.map_path(entities, node=node, contrast=name, stat=s), v)
            for s, v in stats.items()
        }
        stack = EffectStack(tuple(labels), self.geometry, effects, None, np.full(n, np.nan))
        rules = {
            "maxT": ("Family-wise error, largest t of each shuffle", 4.0, None),
            "uncorrected": ("Uncorrected", 3.09, None),
            "fdrBH": ("False discovery rate (Benjamini-Hochberg)", 3.4, None),
            "bonferroni": ("Bonferroni", 4.4, None),
            "maxSize": ("Family-wise error, cluster size", None, 3.09),
        }
        error = np.sqrt(variance)
        half = student.ppf(0.975, n - 1) * error
        chosen = {"z": z, "t": t, "effect": mean, "g": g}
        chosen |= {"effect_se": error, "effect_low": mean - half, "effect_high": mean + half}
        own = {
            "maxT": {"p_fwe": p_fwe},
            "uncorrected": {"p": p / 2},
            "fdrBH": {"q": np.minimum(20 * p, 1)},
            "bonferroni": {"p_fwe": np.minimum(len(p) * p, 1)},
            "maxSize": {"p_fwe": np.minimum(2 * p_fwe, 1)},
        }
        thresholds = [
            self.threshold(method, rule, (chosen, own), (name, entities, node), stack)
            for method, rule in rules.items()
        ]
        null = names.table_path(entities, "nullmax", node=node, contrast=name)
        write_table(self.folder / null, pd.DataFrame({"maxT": self.rng.gumbel(4, 0.8, 256)}))
        influence = names.table_path(entities, "influence", node=node, contrast=name)
        write_table(
            self.folder / influence,
            pd.DataFrame(
                {
                    "participant_id": labels,
                    "cooks_distance": self.rng.gamma(1, 0.2, n),
                    "mean_effect": effects.mean(1),
                }
            ),
        )
        return {
            "name": name,
            "input_contrast": name,
            "group_contrast": "1",
            "test": "t",
            "dof": n - 1,
            "units": "% signal change",
            "weights": {"intercept": 1.0},
            "n_subjects": n,
            "maps": maps,
            "inputs": [
                {"subject": s, "effect": m["effect"], "variance": m["variance"]}
                for s, (_, _, m) in zip(labels, self.estimates[name], strict=True)
            ],
            "influence": influence,
            "thresholds": thresholds,
            "nulls": [
                {
                    "statistic": "maxT",
                    "title": "largest |t|",
                    "table": null,
                    "column": "maxT",
                    "observed": float(np.abs(t).max()),
                    "cutoff": 5.5,
                }
            ],
            "permutation": {
                "n_shuffles": N_SHUFFLES,
                "exact": True,
                "scheme": "sign flips",
                "seed": 0,
                "n_distinct": N_SHUFFLES,
            },
        }

    def threshold(self, method, rule, maps, where, stack):
        title, cutoff, forming = rule
        name, entities, node = where
        shared, adjusted = maps
        own = adjusted[method]
        others = {
            f"{column[0]}_{other}": values
            for other, found in adjusted.items()
            for column, values in found.items()
            if other != method
        }
        maps, z = {"z": shared["z"]} | own | shared | others, shared["z"]
        surviving = np.abs(z) > (cutoff or forming)
        table = make_cluster_table(
            maps, surviving, stack.geometry, measures={"p_fwe_size": lambda i: 1 / (1 + len(i))}
        )
        if forming:
            small = table.clusters["cluster_id"][table.clusters["n_voxels"] < 3]
            surviving = surviving & ~np.isin(table.labels, small)
            table = make_cluster_table(maps, surviving, stack.geometry)
        atlases = read_atlases(["aal", "talairach_ba"])
        clusters, peaks = add_labels(table, stack.geometry, atlases)
        clusters = clusters.drop(columns=list(others))
        options = {"node": node, "contrast": name, "desc": method}
        paths = {kind: names.table_path(entities, kind, **options) for kind in ("clusters", "peaks")}
        more = describe_atlases(atlases)
        for kind, frame in (("clusters", clusters), ("peaks", peaks)):
            write_table(self.folder / paths[kind], frame, describe_columns(frame, more))
        effects = names.table_path(entities, "effects", **options)
        write_table(self.folder / effects, make_peak_effects(table.peaks, stack))
        labels = names.clusters_label_path(entities, **options)
        write_labels(self.folder / labels, table.labels, stack.geometry, space=SPACE)
        path = None
        if forming:
            path = self.put(
                names.map_path(entities, node=node, contrast=name, stat="z", desc=f"{method}Thr"),
                np.where(surviving, z, 0),
            )
        return {
            "method": method,
            "title": title,
            "alpha": 0.001 if method == "uncorrected" else 0.05,
            "tail": "two",
            "statistic": "z",
            "cutoff": cutoff or 12.0,
            "scale": "z" if cutoff else "size",
            "reason": "",
            "peak_effects": effects,
            "p_map": self.put_p(own, entities, options),
            "forming": forming,
            "n_voxels": int(surviving.sum()),
            "n_clusters": len(clusters),
            "surviving": path,
            "clusters": paths["clusters"],
            "peaks": paths["peaks"],
            "labels": labels,
        }

    def put_p(self, own, entities, where):
        """Write the p or q of a threshold as the group stage does; return its path, None: it has none."""
        stat = {"p_fwe": "logp", "q": "q"}.get(next(iter(own), None))
        if stat is None:
            return None
        (values,) = own.values()
        path = names.map_path(entities, stat=stat, **where)
        return self.put(path, -np.log10(np.maximum(values, 1e-300)) if stat == "logp" else values)


def blob(positions, centre, width=14.0):
    return np.exp(-np.square(positions - centre).sum(axis=1) / (2 * width**2))


def weight_table(contrasts, columns):
    rows = [
        {"contrast": c["name"], "test": c["test"], "row": 1, **{k: c["weights"].get(k, 0.0) for k in columns}}
        for c in contrasts
    ]
    return pd.DataFrame(rows)


if __name__ == "__main__":
    from bidsapp.report.pages import write_group_report, write_overview, write_subject_report

    example = Example(sys.argv[1], hostile="hostile" in sys.argv, step=4.0 if "fine" in sys.argv else 8.0)
    folder = example.write()
    for label in example.subjects:
        write_subject_report(folder, label)
    write_group_report(folder)
    write_overview(folder)
