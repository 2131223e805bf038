"""Write usage.md, records.md, descriptor.json and the schema of models: PYTHONPATH=. python (this file)."""

import json
import os
from pathlib import Path

from write_records import make_page

from bidsapp.cli.descriptor import make_descriptor
from bidsapp.cli.parser import make_parser
from bidsapp.model.json_schema import SCHEMA_FILE, json_schema_text

HEAD = """# Usage

The text of `run.py --help`; `make docs` writes this page.

```
{help}
```
"""


def main():
    """Write the files."""
    os.environ["COLUMNS"] = "100"
    Path(__file__).with_name("usage.md").write_text(
        HEAD.format(help=make_parser().format_help().rstrip("\n") + "\n")
    )
    Path(__file__).with_name("records.md").write_text(make_page())
    descriptor = json.dumps(make_descriptor(make_parser()), indent=2) + "\n"
    Path(__file__).parents[1].joinpath("descriptor.json").write_text(descriptor)
    Path(__file__).with_name("models").joinpath(SCHEMA_FILE).write_text(json_schema_text())


if __name__ == "__main__":
    main()
