"""Which threshold is the main one: declared with a flag, or the first that the settings allow.

Decided from settings and designs before any map is read, so that no result can choose it.
"""

import logging
from collections.abc import Collection, Iterable
from functools import partial

from bidsapp.errors import AppError, SettingsError
from bidsapp.group.fit import choose_estimator, make_design, why_not_shuffled
from bidsapp.group.repeated import find_tests
from bidsapp.group.shuffling import blocks_of_rows, options_of_design, why_no_fields
from bidsapp.inference.permutation import Layout, lay_out
from bidsapp.outputs.saved.group import MainThresholdRecord
from bidsapp.records.maps import Contrast, InferenceOptions, Threshold
from bidsapp.records.plan import DatasetFit, GroupPlan
from bidsapp.settings.parts import GroupOptions
from bidsapp.vocabulary.thresholds import BY_WORD, FLAGS, THRESHOLDS

logger = logging.getLogger(__name__)


def choose_main(
    declared: str | None, statistics: Collection[str] = (), *, is_conjunction: bool = False
) -> MainThresholdRecord:
    """Return which threshold of a contrast is the main one, and why.

    Parameters
    ----------
    declared : str or None
        As ``--main-threshold`` has it.
    statistics : tuple of str
        Those that the contrast is tested by, by shuffling.
    is_conjunction : bool
        A conjunction is never shuffled: where that was declared, it has the default.
    """
    row = BY_WORD[declared] if declared else None
    if row and not (is_conjunction and row.needs):
        words = f"declared with --main-threshold {declared}"
        return MainThresholdRecord(method=row.name, declared=True, words=words)
    method = next(name for name, row in THRESHOLDS.items() if row.statistic in (None, *statistics))
    why = "a conjunction cannot have the declared one" if row else "not declared"
    words = f"{why}: by default the first that the settings allow of {', '.join(FLAGS)}"
    return MainThresholdRecord(method=method, declared=False, words=words)


def order_thresholds(thresholds: Iterable[Threshold], main: MainThresholdRecord) -> list[Threshold]:
    """Return thresholds in the order to be shown: the main one, the others, those that were not computed."""
    return sorted(thresholds, key=lambda one: (one.name != main.method, bool(one.reason)))


def check_main_threshold(plan: GroupPlan, group: GroupOptions, options: InferenceOptions) -> None:
    """Refuse a declared main threshold that no hypothesis of a model can have; warn of those that cannot.

    Raises
    ------
    SettingsError
    """
    if not group.main_threshold:
        return
    flag, needs = f"--main-threshold {group.main_threshold}", BY_WORD[group.main_threshold].needs
    find = partial(find_obstacle, needs=needs, wanted=group.group_estimator, options=options)
    for model in plan.models:
        pairs = [(fit, contrast) for fit in model.fits for contrast in fit.contrasts]
        reasons = {contrast.name: find(fit, contrast) for fit, contrast in pairs}
        hypotheses = [contrast.name for fit, contrast in pairs if contrast.name not in fit.descriptive]
        if all(reasons[name] for name in hypotheses):
            raise SettingsError(f"{flag}: {model.node}, {hypotheses[0]}: {reasons[hypotheses[0]]}")
        for name in filter(reasons.get, reasons):
            logger.warning("%s: %s has no main threshold: %s", flag, name, reasons[name])


def find_obstacle(
    fit: DatasetFit, contrast: Contrast, needs: str, wanted: str, options: InferenceOptions
) -> str:
    """Return why a contrast, by the estimator that is wanted, has not what a threshold needs; or empty."""
    if needs == "smoothness":
        return why_no_fields(make_design(fit).matrix, fit.n_scores)
    if needs != "shuffles":
        return ""
    found = lay_out_contrast(fit, contrast, wanted, options)
    return found if isinstance(found, str) else ""


def lay_out_contrast(
    fit: DatasetFit, contrast: Contrast, wanted: str, options: InferenceOptions
) -> Layout | str:
    """Return how a contrast is shuffled by the estimator that is wanted, or why it is not."""
    design, n_maps = make_design(fit), fit.n_scores
    estimator, _ = choose_estimator(fit, wanted)
    reason = "" if n_maps > 1 else why_not_shuffled(design, estimator)
    if reason:
        return reason + "."
    if estimator == "ols" and design.has_repeats and fit.within is None:
        test = find_tests(design)[fit.contrasts.index(contrast)]
        design, contrast, n_maps = test.design, test.contrast, test.n_maps
    options = options_of_design(design, blocks_of_rows(fit, design), options)
    try:
        return lay_out(design.matrix, contrast.weights, options, n_maps=n_maps)
    except AppError as error:
        return str(error)
