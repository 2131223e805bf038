"""What the settings ask for and cannot have, told before a map is read: atlases, regions, shuffles.

What needs no more than the plan is told by that (``plan/group/options.py``).
"""

import logging
from collections.abc import Iterable, Sequence

from bidsapp.errors import InputError
from bidsapp.group.main_threshold import check_main_threshold, find_obstacle
from bidsapp.group.write_tables import is_template
from bidsapp.plan.group.options import find_grids
from bidsapp.records.maps import Contrast, Geometry, InferenceOptions
from bidsapp.records.plan import DatasetFit, GroupPlan
from bidsapp.settings.parts import GroupOptions
from bidsapp.tables.atlas import read_atlases
from bidsapp.tables.bundled import BUNDLED
from bidsapp.tables.regions import read_atlas, read_regions
from bidsapp.vocabulary.thresholds import BY_WORD

logger = logging.getLogger(__name__)


def check_settings(plan: GroupPlan, group: GroupOptions, options: InferenceOptions) -> None:
    """Refuse what no map can change, as `check_plan`; warn of contrasts that cannot be shuffled."""
    check_plan(plan, group, options)
    declared = BY_WORD[group.main_threshold].needs if group.main_threshold else None
    # Of a main threshold by shuffles it is said already.
    if options.n_shuffles and declared != "shuffles":
        fits = [fit for model in plan.models for fit in model.fits]
        for reason, names in find_unshuffled(fits, group.group_estimator, options).items():
            logger.warning("%s: %s", ", ".join(names), reason)


def check_plan(plan: GroupPlan, group: GroupOptions, options: InferenceOptions) -> None:
    """Refuse what no map can change.

    Raises
    ------
    InputError
        An atlas or regions that cannot be read, or have no voxel where the maps are.
    SettingsError
        A main threshold that no hypothesis can have.
    """
    fits = [fit for model in plan.models for fit in model.fits]
    check_regions(group.roi, find_grids(fits))
    check_atlases(group.atlas, find_grids(fit for fit in fits if is_template(fit.entities)))
    check_main_threshold(plan, group, options)


def check_ahead(group: GroupOptions) -> None:
    """Refuse atlases and regions that cannot be read, in a call that does something else first."""
    check_regions(group.roi, ())
    check_atlases(group.atlas, ())


def check_regions(specs: Iterable[str], grids: Sequence[Geometry]) -> None:
    """Raise InputError for regions that cannot be read, or where there is no voxel of any."""
    for spec in specs:
        read_atlas(spec)
        for grid in grids:
            read_regions(spec, grid)


def check_atlases(choices: Iterable[str], grids: Sequence[Geometry]) -> None:
    """Raise InputError for an atlas that cannot be read, or an own one where there is no voxel of it."""
    for choice in choices:
        (atlas,) = read_atlases([choice])
        if choice not in BUNDLED and any((atlas.regions_at(grid.coordinates()) < 0).all() for grid in grids):
            raise InputError(
                f"--atlas {choice}: no voxel of the maps lies in any of its regions. Give it in their space."
            )


def find_unshuffled(
    fits: Iterable[DatasetFit], wanted: str, options: InferenceOptions
) -> dict[str, list[str]]:
    """Return why contrasts cannot be shuffled: reason -> their names."""
    known: dict[tuple[object, ...], str] = {}
    found: dict[str, list[str]] = {}
    pairs = [(fit, contrast) for fit in fits for contrast in fit.contrasts]
    for fit, contrast in pairs:
        key = key_of_test(fit, contrast)
        if key not in known:
            known[key] = find_obstacle(fit, contrast, "shuffles", wanted, options)
        if known[key]:
            found.setdefault(known[key], []).append(contrast.name)
    return found


def key_of_test(fit: DatasetFit, contrast: Contrast) -> tuple[object, ...]:
    """Return what the shuffles of a contrast depend on: one design may be that of many contrasts."""
    rows = (fit.design.matrix.tobytes(), fit.subjects, fit.variance_groups, fit.blocks, fit.method)
    return (*rows, fit.n_scores, contrast.weights.tobytes())
