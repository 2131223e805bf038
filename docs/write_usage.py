"""Write docs/usage.md from the command line's own help: python docs/write_usage.py."""

import os
from pathlib import Path

from bidsapp.cli import make_parser

HEAD = """# Usage

The text of `run.py --help`; `python docs/write_usage.py` writes this page.

```
{help}
```
"""


def main():
    """Write the page."""
    os.environ["COLUMNS"] = "100"
    Path(__file__).with_name("usage.md").write_text(
        HEAD.format(help=make_parser().format_help().rstrip("\n") + "\n")
    )


if __name__ == "__main__":
    main()
