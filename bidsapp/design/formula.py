"""Design columns from a Wilkinson formula.

formulaic evaluates Python code inside a formula, so only names, numbers and the operators of the
formula language get that far: every variable is given a plain name first, and anything else is refused.
"""

import re
from collections.abc import Mapping

import numpy as np
import pandas as pd

from bidsapp.design.transformers.variables import Values
from bidsapp.errors import ModelError, tell_names
from bidsapp.records.arrays import Numbers
from bidsapp.records.model import INTERCEPT

# More would multiply terms beyond any use: a*b*c*d has 16.
MAX_PRODUCTS = 4
# A power multiplies all terms with each other so many times.
MAX_POWER = 3
# Possessive: "**1" may be read in two ways, and trying both for each would never end.
ALLOWED = re.compile(r"(?:v_\d+_|C(?=\()|[01](?![\d.])|\d(?=\s*\))|\*\*\s*\d|\^\s*\d|[\s~+:*()/-])*+")


def formula_words(formula: str) -> list[str]:
    """Return the words of a formula that may be variables."""
    words = re.findall(r"`([^`]+)`|([A-Za-z_][\w.]*)", formula)
    return [quoted or plain for quoted, plain in words if (quoted or plain) != "C"]


def make_formula_columns(formula: str, variables: Mapping[str, Values], n_rows: int) -> dict[str, Numbers]:
    """Return the columns of a formula, a dict of name to values.

    Parameters
    ----------
    variables : dict of str to ndarray
        One value a row: numbers, or objects (categories).

    Raises
    ------
    ModelError
        Not a formula over these variables.
    """
    # Imported when needed: it takes as long as the rest of a plan, and few models have a formula.
    from formulaic import Formula
    from formulaic.errors import FormulaicError

    plain, names = _plain_names(formula, variables)
    _check(formula, plain, variables)
    values = {key: _without_decimals(variables[name]) for key, name in names.items()}
    table = pd.DataFrame(values, index=range(n_rows))
    try:
        matrix = Formula(plain.partition("~")[2] if "~" in plain else plain).get_model_matrix(
            table, na_action="ignore"
        )
    except (FormulaicError, ValueError, TypeError, KeyError, RecursionError) as error:
        raise ModelError(f"the formula {formula!r:.100} can not be evaluated: {error!s:.200}") from error
    if matrix.shape[0] != n_rows or not matrix.shape[1]:
        raise ModelError(f"the formula {formula!r:.100} gives a design without rows or columns.")
    return {_original_name(column, names): matrix[column].to_numpy(float) for column in matrix.columns}


def _without_decimals(values: Values) -> Values:
    """Return whole numbers as integers, so that their levels have no decimals (``C(site)[1]``)."""
    whole = values.dtype.kind == "f" and (np.abs(values) < 2**53).all() and (values == np.round(values)).all()
    return values.astype(int) if whole else values


def _plain_names(formula: str, variables: Mapping[str, Values]) -> tuple[str, dict[str, str]]:
    """Return the formula with every variable replaced by ``v_<k>_``, and what each stands for."""
    order = sorted(variables, key=len, reverse=True)
    keys = {name: f"v_{index}_" for index, name in enumerate(order)}
    known = "|".join(re.escape(name) for name in order) or r"(?!)"
    pattern = rf"`([^`]*)`|(?<![\w.])({known})(?![\w.])"

    def replace(match: re.Match[str]) -> str:
        name = match[1] if match[1] is not None else match[2]
        return keys.get(name, match[0])

    return re.sub(pattern, replace, formula), {key: name for name, key in keys.items() if name in formula}


def _check(formula: str, plain: str, variables: Mapping[str, Values]) -> None:
    if not ALLOWED.fullmatch(plain):
        unknown = [word for word in formula_words(formula) if word not in variables]
        what = (
            f"{unknown[0]!r} is no variable here"
            if unknown
            else "only names, 0, 1 and + - : * / ( ) ** are allowed"
        )
        raise ModelError(f"in the formula {formula!r:.100}: {what}. {tell_names(variables)}")
    powers = [int(power) for power in re.findall(r"(?:\*\*|\^)\s*(\d)", plain)]
    products = len(re.findall(r"(?<!\*)\*(?!\*)", plain))
    if products > MAX_PRODUCTS or any(power > MAX_POWER for power in powers) or len(powers) > 1:
        raise ModelError(f"the formula {formula!r:.100} has too many products; write the terms out.")


def _original_name(column: str, names: Mapping[str, str]) -> str:
    if column == "Intercept":
        return INTERCEPT
    return re.sub(r"v_\d+_", lambda match: names[match[0]], column)
