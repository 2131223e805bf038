"""The files of a contrast."""

import posixpath

from bidsapp.report.render import FigureBook, Section, render
from bidsapp.report.sections.contrast.shown import Shown
from bidsapp.vocabulary.quantities import QUANTITIES


def make_section(shown: Shown, book: FigureBook) -> Section:
    """Return maps and tables with links; the page lies in the folder of the group."""
    contrast = shown.contrast
    found = [
        (path, QUANTITIES[key].words if key in QUANTITIES else key) for key, path in contrast.maps.items()
    ]
    for threshold in contrast.thresholds:
        named = {
            "map of what survives": threshold.surviving,
            "q" if "_stat-q_" in (threshold.p_map or "") else "corrected p as -log10": threshold.p_map,
            "share of active voxels in the cluster": threshold.share_map,
            "clusters": threshold.clusters,
            "peaks": threshold.peaks,
            "labels of clusters": threshold.labels,
            "effects of the subjects at the peaks": threshold.peak_effects,
        }
        found += [(path, f"{threshold.title}: {words}") for words, path in named.items() if path]
    rows = [(posixpath.relpath(path, "group"), posixpath.basename(path), words) for path, words in found]
    return Section("Files", "files", render("contrast_files.html", rows=list(dict.fromkeys(rows))))
