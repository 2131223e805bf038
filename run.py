#!/usr/bin/env python3
"""The entry point of the BIDS App."""

import sys

from bidsapp.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
