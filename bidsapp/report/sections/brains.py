"""A map at a glance: a glass brain in MNI space, slices on the subject's own anatomy elsewhere."""

from collections.abc import Sequence

import numpy as np

from bidsapp.outputs.results import SubjectResults, Volume
from bidsapp.report.drawing import background
from bidsapp.report.drawing.background import Background
from bidsapp.report.drawing.glass import draw_glass_brain
from bidsapp.report.drawing.slices import COARSE_MM, Slicer, choose_cuts, draw_mosaic
from bidsapp.report.drawing.svg import Figure

# A whole map would hide the anatomy below it: slices show what is farther from zero.
WEAKEST = 2.0
N_SLICES = 8


def draw_brain(
    volume: Volume,
    under: Background | None,
    *,
    limit: float,
    alt: str,
    faintest: float = 0.0,
    signed: bool = True,
) -> Figure:
    """Return a glass brain where ``under`` is None, else slices on that anatomy; as `draw_glass_brain`."""
    if under is None:
        return draw_glass_brain(volume, limit=limit, alt=alt, faintest=faintest, signed=signed)
    values = np.nan_to_num(volume.values)
    shown = Volume(np.where(np.abs(values) >= WEAKEST, values, 0), volume.affine)
    slicer = Slicer(under, shown, limit=limit, step_mm=COARSE_MM, signed=signed)
    return draw_mosaic(slicer, choose_cuts(volume, N_SLICES), alt=alt)


def find_under(results: SubjectResults, space: str | None, *, own: bool = True) -> Background | None:
    """Return what the maps of a subject are drawn on outside MNI space, None inside.

    The T1w image or BOLD reference that its record names; else, and where ``own`` is false, the map of
    signal-to-noise, which the output folder always has.
    """
    path, name = (None, "") if background.is_mni(space) else _find_map(results, space, own=own)
    return background.from_volume(results.read_map(path), name) if path else None


def average_under(subjects: Sequence[SubjectResults], space: str | None) -> Background | None:
    """Return the mean of the subjects' anatomies that share a grid, None where there are none."""
    found = [(subject, *_find_map(subject, space)) for subject in subjects]
    volumes = [subject.read_map(path) for subject, path, _ in found if path]
    if not volumes:
        return None
    first = volumes[0]
    alike = [v.values for v in volumes if _same_grid(v, first)]
    name = f"mean {found[0][2]} of {len(alike)} subjects"
    return background.from_volume(Volume(np.mean(np.nan_to_num(alike), axis=0), first.affine), name)


def _same_grid(one: Volume, other: Volume) -> bool:
    return one.values.shape == other.values.shape and np.allclose(one.affine, other.affine)


def _find_map(results: SubjectResults, space: str | None, *, own: bool = True) -> tuple[str | None, str]:
    """Return the path of a subject's anatomy in a space, and what it is."""
    runs = [run for run in results.record.runs if run.entities.get("space") == space]
    given = [run.anatomy for run in runs if own and run.anatomy]
    named = {path: "T1w image" if "_T1w." in path else "BOLD reference" for path in given}
    named |= {path: "map of tSNR" for run in runs for stat, path in run.model_fit.items() if stat == "tsnr"}
    return next(((path, name) for path, name in named.items() if results.has(path)), (None, ""))
