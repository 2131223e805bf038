"""docs/records.md says what the classes of the records are."""

from pathlib import Path

import pytest
from write_records import find_classes, make_page, read_texts

from bidsapp.outputs.saved.common import Record
from bidsapp.outputs.saved.group import GroupRecord
from bidsapp.outputs.saved.participant import SubjectRecord

PAGE = Path(__file__).parents[2] / "docs" / "records.md"
CLASSES = find_classes(Record, SubjectRecord, GroupRecord)


def test_the_page_is_that_of_the_classes():
    assert PAGE.read_text() == make_page(), "run: PYTHONPATH=. python docs/write_usage.py"


@pytest.mark.parametrize(
    "kind", find_classes(Record, SubjectRecord, GroupRecord), ids=lambda kind: kind.__name__
)
def test_every_field_of_a_class_has_its_words(kind):
    head, texts = read_texts(kind)
    assert head.endswith(".")
    assert list(texts) == list(kind.__annotations__)
    assert all(texts.values())
