"""``python -m bidsapp`` is ``run.py``."""

import sys

from bidsapp.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
