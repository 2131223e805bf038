"""Check a model file, draw it, bring it into today's form, or write a model to start from.

python -m bidsapp.model check FILE [--bids-dir DIR] [--derivatives PATH ...]
python -m bidsapp.model graph FILE [--bids-dir DIR] [--derivatives PATH ...] [-o FILE]
python -m bidsapp.model migrate FILE [-o FILE]
python -m bidsapp.model new BIDS_DIR --task TASK [-o FILE] [--contrast NAME=EXPRESSION ...]
"""

import argparse
import sys
from collections.abc import Sequence

from bidsapp.cli.main import use_any_terminal
from bidsapp.cli.model_commands import check, graph, migrate, new
from bidsapp.errors import EXIT_USAGE, AppError


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command and return its exit code."""
    use_any_terminal()
    parser = make_parser()
    arguments = parser.parse_args(argv)
    try:
        code: int = arguments.run(arguments)
        return code
    except AppError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    except BrokenPipeError:
        return EXIT_USAGE


def make_parser() -> argparse.ArgumentParser:
    """Return the parser of all commands."""
    parser = argparse.ArgumentParser(
        prog="python -m bidsapp.model", description="Check, draw or write a model file."
    )
    commands = parser.add_subparsers(required=True, metavar="{check,graph,migrate,new}")
    checking = commands.add_parser("check", help="check a model file, alone or against a dataset")
    checking.set_defaults(run=check)
    drawing = commands.add_parser(
        "graph", help="draw a model file as SVG, with a dataset's numbers of estimates"
    )
    drawing.add_argument("-o", "--output", help="file to write (default: standard output)")
    drawing.set_defaults(run=graph)
    migrating = commands.add_parser(
        "migrate", help="write a model in today's form, with a note on everything that was read otherwise"
    )
    migrating.add_argument("-o", "--output", help="file to write (default: standard output)")
    migrating.set_defaults(run=migrate)
    for command in (checking, drawing, migrating):
        command.add_argument("file", help="BIDS Stats Model (JSON)")
    for command in (checking, drawing):
        command.add_argument("--bids-dir", "--bids_dir", help="plan the model on this dataset")
        command.add_argument(
            "-d", "--derivatives", nargs="+", default=[], help="preprocessed derivatives of the dataset"
        )
    making = commands.add_parser("new", help="write a model to start from, made from the events")
    making.add_argument("bids_dir", help="dataset with events files")
    making.add_argument("-t", "--task", help="task label (needed where there are several)")
    making.add_argument("-o", "--output", help="file to write (default: standard output)")
    making.add_argument("--contrast", action="append", default=[], metavar="NAME=EXPRESSION")
    making.add_argument("--confounds", help="confound strategy")
    making.add_argument("--hrf-model", "--hrf_model", help="haemodynamic response")
    making.add_argument("--high-pass", "--high_pass", type=float, metavar="SECONDS")
    making.set_defaults(run=new)
    return parser


if __name__ == "__main__":
    sys.exit(main())
