"""Documentation that must stay true."""

from pathlib import Path

import pytest

from bidsapp.cli import make_parser

ROOT = Path(__file__).parents[1]


@pytest.mark.parametrize("action", make_parser()._actions, ids=lambda action: action.dest)
def test_the_usage_page_shows_the_help(action):
    """The layout of argparse differs between versions of Python; flags and texts must be there."""
    page = " ".join((ROOT / "docs" / "usage.md").read_text().split())
    text = " ".join(action.help.replace("%%", "%").split())
    assert text in page, "run: PYTHONPATH=. python docs/write_usage.py"
    assert all(flag in page for flag in action.option_strings)
