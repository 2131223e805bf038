"""Several rows a subject in one model: every contrast has an error of its own, and is shuffled by subjects.

One residual variance for all rows would take rows for subjects in a contrast between subjects, and
differences of cells for equally variable within them. A contrast that combines the rows of every subject in
the same way is a test of one score a subject, or of several (F with Greenhouse and Geisser's degrees of
freedom); all others have a sandwich covariance. Both allow cells any variances and correlations.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from bidsapp.group.within import blocks_of, score_cells
from bidsapp.records.arrays import Labels, Maps, Mask, Matrix
from bidsapp.records.maps import LEAST_SQUARES, SCORE_T2, Contrast, GroupDesign, GroupEstimate
from bidsapp.stats.blocks import find_patterns
from bidsapp.stats.group.effect_sizes import partial_r2
from bidsapp.stats.group.estimators import fit_group
from bidsapp.stats.group.repeated_measures import collapse_contrast, fit_greenhouse_geisser
from bidsapp.stats.linear import check_contrasts, find_rank, is_estimable

NOT_INDEPENDENT = "Several rows of a subject are not independent, and each contrast has an error of its own"
OWN = "{} tested on one score or vector of scores a subject, with subjects as the units"
SANDWICH = "{} by the sandwich (CR2, Satterthwaite), not least squares, as {}"
UNLIKE = "its weights are not one combination of a subject's rows"
UNBALANCED = "subjects lack rows"
GROUPED = "several scores know no variance groups"


@dataclass(frozen=True, slots=True, eq=False)
class SubjectTest:
    """How a contrast of a design with several rows a subject is tested.

    Attributes
    ----------
    weights : ndarray, shape (n_scores, n_rows of a subject), or None
        What makes the scores of a subject; None: the sandwich.
    design : GroupDesign
        What is shuffled: the subjects' scores, or the rows, whole subjects together.
    contrast : Contrast
        Of ``design``.
    statistic : str or None
        The shuffled statistic, where it is not that of the maps.
    reason : str
        Why it is the sandwich.
    """

    weights: Matrix | None
    design: GroupDesign
    contrast: Contrast
    statistic: str | None
    reason: str = ""

    @property
    def method(self) -> str:
        """The estimator of the maps."""
        return "sandwich" if self.weights is None else "own error"

    @property
    def n_maps(self) -> int:
        """How many maps a subject has in the shuffles."""
        return 1 if self.weights is None else len(self.weights)

    def data(self, effects: Maps, clusters: Labels) -> Maps:
        """Return what is shuffled, of the effects (n_rows, n_voxels) of all subjects."""
        if self.weights is None:
            return effects
        scores = score_subjects(effects, clusters, self.weights)
        return scores[0] if len(scores) == 1 else scores.transpose(1, 0, 2)


def find_tests(design: GroupDesign) -> list[SubjectTest]:
    """Return how each contrast of a design is tested."""
    return [_find_test(contrast, design) for contrast in design.contrasts]


def _find_test(contrast: Contrast, design: GroupDesign) -> SubjectTest:
    clusters = subjects_of(design)
    found = collapse_contrast(design.matrix, contrast.weights, clusters)
    groups = design.variance_groups
    if found is None or (groups is not None and len(found.within) > 1):
        counts = np.unique(clusters, return_counts=True)[1]
        reason = GROUPED if found else UNBALANCED if np.ptp(counts) else UNLIKE
        rows = replace(design, variance_groups=None)
        return SubjectTest(None, rows, contrast, LEAST_SQUARES[contrast.test], reason)
    first = np.unique(clusters, return_index=True)[1]
    test = "t" if len(found.within) > 1 else contrast.test
    columns = tuple(f"score{index}" for index in range(found.matrix.shape[1]))
    tested = Contrast(contrast.name, test, columns, found.between)
    scores = GroupDesign(found.matrix, (tested,), None if groups is None else groups[first])
    return SubjectTest(found.within, scores, tested, SCORE_T2 if len(found.within) > 1 else None)


def describe_tests(tests: Sequence[SubjectTest]) -> str:
    """Return how the contrasts of a fit are tested, in a sentence."""
    own = [test.contrast.name for test in tests if test.weights is not None]
    said = [OWN.format(", ".join(own))] if own else []
    reasons: dict[str, list[str]] = {}
    for test in tests:
        if test.reason:
            reasons.setdefault(test.reason, []).append(test.contrast.name)
    said += [SANDWICH.format(", ".join(names), reason) for reason, names in reasons.items()]
    return f"{NOT_INDEPENDENT}: {'; '.join(said)}."


def fit_repeated(effects: Maps, design: GroupDesign, needed: int, tail: str) -> list[GroupEstimate]:
    """Return the estimates of all contrasts of a design with several rows a subject.

    Parameters
    ----------
    effects : ndarray, shape (n_rows, n_voxels)
        A subject takes part in a voxel where it has all rows that its scores are made from; in contrasts
        without scores, where it has any.
    needed : int
        Subjects that a voxel must have.
    """
    check_contrasts(design)
    tests = find_tests(design)
    others = tuple(test.contrast for test in tests if test.weights is None)
    rest = replace(design, contrasts=others, variance_groups=None)
    found: Iterator[GroupEstimate] = iter(())
    if others:
        found = iter(fit_group(effects, None, rest, estimator="sandwich", min_inputs=needed, tail=tail))
    subjects = subjects_of(design)
    return [
        next(found)
        if test.weights is None
        else _fit_own(test, score_subjects(effects, subjects, test.weights), needed, tail)
        for test in tests
    ]


def subjects_of(design: GroupDesign) -> Labels:
    """Return the number of the subject of each row."""
    return np.arange(len(design.matrix)) if design.clusters is None else design.clusters


def score_subjects(effects: Maps, clusters: Labels, weights: Matrix) -> Maps:
    """Return the scores of every subject, float32, shape (n_scores, n_subjects, n_voxels)."""
    order = np.argsort(clusters, kind="stable")
    if not np.array_equal(order, np.arange(len(order))):
        effects = effects[order]
    return score_cells(weights, effects, weights.shape[1])


def _fit_own(test: SubjectTest, scores: Maps, needed: int, tail: str) -> GroupEstimate:
    if len(scores) > 1:
        return _fit_univariate(test, scores, needed)
    return fit_group(scores[0], None, test.design, min_inputs=needed, tail=tail)[0]


def _fit_univariate(test: SubjectTest, scores: Maps, needed: int) -> GroupEstimate:
    """Return the F of several scores a subject, with Greenhouse and Geisser's degrees of freedom."""
    n_rows, _, n_voxels = scores.shape
    arrays = {name: np.full(n_voxels, np.nan) for name in ("statistic", "z", "p", "dof", "epsilon_gg")}
    effect = np.full((n_rows, n_voxels), np.nan)
    matrix, between = test.design.matrix, test.contrast.weights
    present: Mask = np.all(np.isfinite(scores), axis=0)
    for rows, voxels in find_patterns(present, needed):
        part = matrix[rows]
        if len(rows) <= find_rank(part) or not is_estimable(part, between):
            continue
        for some in (voxels[cut] for cut in blocks_of(len(voxels))):
            found = fit_greenhouse_geisser(scores[:, rows][:, :, some], part, between[0])
            effect[:, some] = found.effect
            for key, array in arrays.items():
                array[some] = getattr(found, key)
    epsilon = arrays.pop("epsilon_gg")
    share = partial_r2(arrays["statistic"], n_rows, arrays["dof"] / epsilon)
    maps = {"n": present.sum(axis=0, dtype=float), "pGG": arrays["p"], "epsilonGG": epsilon}
    return GroupEstimate(
        contrast=test.contrast.name,
        test="F",
        effect=effect,
        variance=None,
        dof_numerator=n_rows,
        maps=maps | {"partialrsquare": share},
        **arrays,
    )
