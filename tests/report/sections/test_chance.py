"""What the page says beside the null distributions."""

from dataclasses import replace

from bidsapp.outputs.results import read_group_results
from bidsapp.report.render import FigureBook
from bidsapp.report.sections.contrast.chance import make_section
from bidsapp.report.sections.contrast.shown import Shown


def test_what_is_shuffled_in_place_of_the_map_is_named(output_folder):
    (results,) = read_group_results(output_folder)
    contrast = results.record.contrasts[0]
    null = replace(contrast.nulls[0], observed=3712.4)
    section = make_section(Shown(results, replace(contrast, nulls=(null,))), FigureBook())
    assert f"Null distribution of the {null.title}, observed 3,712" in section.content
    for statistic, is_named in ((None, False), ("t", False), ("t of the subjects' scores", True)):
        permutation = replace(contrast.permutation, statistic=statistic)
        shown = Shown(results, replace(contrast, permutation=permutation))
        content = make_section(shown, FigureBook()).content
        assert ("Heights are of what is shuffled: t of the subjects&#39; scores." in content) == is_named
