"""What is to be known of all contrasts of a model: each remark once, with the contrasts it concerns."""

from bidsapp.outputs.remarks import group_remarks
from bidsapp.outputs.results import GroupResults
from bidsapp.report.render import FigureBook, Section, render


def make_section(results: GroupResults, book: FigureBook) -> Section | None:
    """Return the remarks, those on thresholds that cannot be used among them; None where there are none."""
    record = results.record
    remarks = group_remarks(record, thresholds=True)
    if record.status == "complete" and not remarks:
        return None
    return Section("Remarks", "remarks", render("group_remarks.html", record=record, remarks=remarks))
