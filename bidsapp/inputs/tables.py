"""Read tab-separated tables as text, saying what is wrong with a file and where."""

from pathlib import Path

import pandas as pd

from bidsapp.errors import EXIT_NO_INPUT, InputError

MISSING = ("n/a", "N/A", "na", "NA", "nan", "NaN", "")


def read_table(path, columns=None):
    """Return a table as text; None where a value is missing (``n/a`` or empty).

    Parameters
    ----------
    path : Path
    columns : sequence of str, optional
        Only these, in the order of the file.

    Raises
    ------
    InputError
    """
    path = Path(path)
    try:
        table = pd.read_csv(
            path,
            sep="\t",
            dtype=str,
            keep_default_na=False,
            encoding="utf-8-sig",
            usecols=None if columns is None else list(columns),
            skipinitialspace=True,
        )
    except FileNotFoundError as error:
        raise InputError(f"{path} is missing.", exit_code=EXIT_NO_INPUT) from error
    except pd.errors.EmptyDataError:
        return pd.DataFrame()
    except (OSError, UnicodeDecodeError, ValueError) as error:
        reason = str(error).strip().splitlines()[-1]
        raise InputError(f"{path} is not a tab-separated table: {reason}") from error
    table.columns = [str(name).strip() for name in table.columns]
    table = table.apply(lambda column: column.str.strip())
    return table.astype(object).where(~table.isin(MISSING), None)


def read_header(path):
    """Return the names of the columns of a table; none where the file is empty."""
    try:
        with Path(path).open(encoding="utf-8-sig") as file:
            line = file.readline().rstrip("\r\n")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path} can not be read: {error}.") from error
    return [name.strip() for name in line.split("\t")] if line.strip() else []
