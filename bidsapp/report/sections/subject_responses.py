"""The responses of conditions with several columns (basis sets, FIR), each at one voxel."""

import numpy as np

from bidsapp.names import figure_path
from bidsapp.outputs.results import SubjectResults
from bidsapp.outputs.saved.participant import ResponseRecord
from bidsapp.records.documents import Document
from bidsapp.report.drawing.background import is_mni
from bidsapp.report.drawing.charts import draw_response
from bidsapp.report.render import FigureBook, Section, render
from bidsapp.report.sections.subject_contrasts import place
from bidsapp.report.sections.subject_maps import ATLASES
from bidsapp.report.sections.subject_runs import IMPLIED
from bidsapp.tables.atlas import read_atlases


def make_section(results: SubjectResults, book: FigureBook) -> Section | None:
    """Return the section of all responses, None where no condition has several columns."""
    responses = results.record.responses
    if not responses:
        return None
    content = render("subject_responses.html", responses=[_draw(book, each) for each in responses])
    return Section("Responses", "responses", content)


def _draw(book: FigureBook, response: ResponseRecord) -> Document:
    name = response.condition.removeprefix(IMPLIED)
    where = place(response.entities)
    figure = draw_response(
        np.array(response.seconds),
        np.array([response.low, response.effect, response.high], float),
        [np.array(values, float) for values in response.runs.values()],
        unit=response.units or "effect",
        points=response.delays,
        alt=f"Response to {name} over time with its 95 % interval, {where}",
    )
    more = {"node": response.node, "contrast": response.contrast, "desc": name}
    mni = is_mni(response.entities.get("space"))
    region = read_atlases(ATLASES[:1])[0].label_near_peaks(np.array([response.position]))[0] if mni else ""
    return {
        "record": response,
        "name": name,
        "where": where,
        "region": region.replace("_", " "),
        "drawing": book.add(figure, figure_path(response.entities, "response", **more)),
    }
