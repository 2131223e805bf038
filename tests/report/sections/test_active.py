"""The picture of active shares."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from markupsafe import Markup

from bidsapp.outputs.images import write_map
from bidsapp.outputs.results import read_group_results
from bidsapp.outputs.tables import write_table
from bidsapp.records.maps import Geometry
from bidsapp.report.render import FigureBook
from bidsapp.report.sections.contrast import active
from bidsapp.report.sections.contrast.shown import Shown

PATH = "group/x_stat-tdp_desc-ari_statmap.nii.gz"


@pytest.fixture(scope="module")
def shown(output_folder):
    (results,) = read_group_results(output_folder)
    return Shown(results, results.record.contrasts[0])


def with_shares(shown, shares):
    """Return a contrast with a map of shares, (n_points,), of its mask."""
    inside = shown.results.read_map(shown.results.record.mask).values > 0
    geometry = Geometry(inside, shown.whole.affine)
    write_map(shown.results.folder / PATH, shares(shown.whole.values[inside]), geometry, space="MNI")
    main = replace(shown.contrast.main, share_map=PATH)
    return replace(shown, contrast=replace(shown.contrast, thresholds=(main,)))


def test_shares_are_drawn_with_the_sign_of_the_statistic(shown, monkeypatch):
    drawn = []
    monkeypatch.setattr(active, "Slicer", lambda under, volume, **more: drawn.append((volume, more)))
    monkeypatch.setattr(active, "draw_mosaic", lambda *words, **more: None)
    found = with_shares(shown, lambda t: np.where(np.abs(t) > 3, 0.4, 0.0))
    monkeypatch.setattr(FigureBook, "add", lambda *words: "drawn")
    assert active.draw_shares(found, FigureBook()) == "drawn"
    ((volume, more),) = drawn
    whole = np.nan_to_num(shown.whole.values)
    np.testing.assert_allclose(volume.values, np.where(np.abs(whole) > 3, 0.4 * np.sign(whole), 0), atol=1e-6)
    assert more["limit"] == 1.0
    assert (volume.values < 0).any()


def test_a_contrast_without_shares_has_no_section(shown):
    assert active.make_section(shown, FigureBook()) is None
    assert active.make_section(with_shares(shown, np.zeros_like), FigureBook()) is None


def test_a_share_that_is_there_is_not_printed_as_none(shown):
    frame = pd.DataFrame(
        {"atlas": "aal", "region": ["A_L", "B"], "n_voxels": 1200, "tdp_positive": [0.002, 0.3]}
    )
    path = "group/x_discoveries.tsv"
    write_table(shown.results.folder / path, frame.assign(tdp_negative=0.0))
    found = replace(shown, contrast=replace(shown.contrast, discoveries=path))
    content = Markup(active.make_section(found, FigureBook()).content)
    assert [
        cell
        for cell in ("A L", "1,200", "< 1 %", "30 %", "Positive, at least")
        if cell not in content.striptags()
    ] == []


def test_the_picture_stands_without_a_table_of_regions(shown):
    book = FigureBook()
    section = active.make_section(with_shares(shown, lambda t: np.where(t > 2, 0.7, 0.0)), book)
    assert "at least this share of each cluster is active" in section.content
    assert "regions together with a confidence of 95 %. They suppose that Simes" in section.content
    assert "<table" not in section.content
    assert [path for path in book.files if "stat-tdp" in path]
