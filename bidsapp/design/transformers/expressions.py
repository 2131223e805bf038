"""Evaluate the small expressions that users write: queries on events, and linear contrasts.

Nothing is handed to Python's own evaluation: an expression holds names, numbers, texts, arithmetic,
comparisons and and/or/not, and nothing else.
"""

import ast
import operator
import re
from collections.abc import Callable, Collection, Mapping
from typing import Any, TypeAlias, TypeVar

import numpy as np

from bidsapp.design.transformers.variables import Values, as_values, level_name
from bidsapp.errors import ModelError, near_or_there, tell_names
from bidsapp.records.arrays import Mask

# Nobody writes longer ones, and deep nesting would end the parser.
MAX_LENGTH = 500
ARITHMETIC = {ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul, ast.Div: operator.truediv}
COMPARISONS = {
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
}


# Comparisons whose right side may be a bare word.
MATCHES = (ast.Eq, ast.NotEq, ast.In, ast.NotIn)


# A weighted sum of names, or a number.
Form: TypeAlias = dict[str, float] | float
T = TypeVar("T")


class UnknownNameError(ModelError):
    """A word of an expression that is no column."""


def evaluate_query(text: str, columns: Mapping[str, Values]) -> Mask:
    """Return which rows satisfy a query, a boolean array.

    Parameters
    ----------
    text : str
        For example ``gain > 3 and respcat != -1``; names with spaces as they are or in back-ticks. Every
        name must be a column; to the right of ``==``, ``!=`` and ``in``, where the left side is a column of
        texts, any other word is a text.
    columns : dict of str to ndarray
        All of one length; text or numbers.

    Raises
    ------
    ModelError
        Not a query over these columns.
    """
    tree, names = _parse(text, columns)
    try:
        result = _run(_evaluate_rows, tree.body, {key: columns[name] for key, name in names.items()}, text)
    except UnknownNameError as error:
        raise ModelError(
            f"{text!r}: there is no column {str(error)!r}. {near_or_there(str(error), columns)}"
        ) from error
    n_rows = len(next(iter(columns.values())))
    return np.broadcast_to(np.asarray(result, bool), (n_rows,))


def linear_weights(text: str, names: Collection[str]) -> dict[str, float]:
    """Return the weights of a linear expression over names, a dict of the names in it.

    ``linear_weights("(a + b) / 2 - c", ["a", "b", "c"])`` is ``{"a": 0.5, "b": 0.5, "c": -1.0}``.

    Raises
    ------
    ModelError
        Not linear, without any name, or with a name that is not among ``names``.
    """
    tree, keys = _parse(text, names)
    form = _run(_evaluate_form, tree.body, keys, text)
    if not isinstance(form, dict):
        raise ModelError(f"The expression {text!r} names no condition. {tell_names(names)}")
    weights = {name: weight for name, weight in form.items() if weight}
    if not weights:
        raise ModelError(f"The expression {text!r} cancels to zero.")
    return weights


def _run(
    evaluate: Callable[[ast.expr, Mapping[str, T]], Any], body: ast.expr, names: Mapping[str, T], text: str
) -> Any:
    try:
        return evaluate(body, names)
    except ModelError:
        raise
    except (TypeError, ValueError, ZeroDivisionError, OverflowError, RecursionError) as error:
        raise ModelError(f"The expression {text!r} can not be evaluated: {error}.") from error


def _parse(text: str, names: Collection[str]) -> tuple[ast.Expression, dict[str, str]]:
    """Return the syntax tree with every known name replaced by a plain one, and those plain names."""
    if len(text) > MAX_LENGTH:
        raise ModelError(f"The expression {text[:40]!r}... is longer than {MAX_LENGTH} characters.")
    keys = {f"name_{index}": name for index, name in enumerate(names)}
    by_name = {name: key for key, name in keys.items()}
    known = "|".join(re.escape(name) for name in sorted(by_name, key=len, reverse=True))
    pattern = (
        rf"\"[^\"]*\"|'[^']*'|`([^`]*)`|(?<![\w.])({known})(?![\w.])" if known else r"\"[^\"]*\"|'[^']*'"
    )

    def replace(match: re.Match[str]) -> str:
        name = next((group for group in match.groups() if group is not None), None)
        return match[0] if name is None else by_name.get(name, match[0])

    prepared = re.sub(r"&&?", " and ", re.sub(r"\|\|?", " or ", re.sub(pattern, replace, text)))
    try:
        return ast.parse(prepared.strip(), mode="eval"), keys
    except (SyntaxError, ValueError, MemoryError, RecursionError) as error:
        raise ModelError(f"The expression {text!r} can not be read. {tell_names(names)}") from error


def _evaluate_rows(node: ast.expr, columns: Mapping[str, Values]) -> Any:
    match node:
        case ast.Constant(value=bool() | int() | float() | str() as value):
            return value
        case ast.Name(id=key) if key in columns:
            return columns[key]
        case ast.Name(id=word):
            raise UnknownNameError(word)
        case ast.List() | ast.Tuple() | ast.Set():
            return [_evaluate_rows(part, columns) for part in node.elts]
        case ast.Compare():
            return _compare(node, columns)
        case ast.BoolOp():
            parts = [np.asarray(_evaluate_rows(part, columns), bool) for part in node.values]
            join = np.logical_and if isinstance(node.op, ast.And) else np.logical_or
            return join.reduce(np.broadcast_arrays(*parts))
    return _evaluate_arithmetic(node, columns)


def _evaluate_arithmetic(node: ast.expr, columns: Mapping[str, Values]) -> Any:
    match node:
        case ast.BinOp(op=op) if type(op) in ARITHMETIC:
            left, right = (_evaluate_rows(part, columns) for part in (node.left, node.right))
            return ARITHMETIC[type(op)](left, right)
        case ast.UnaryOp(op=ast.USub()):
            return -_evaluate_rows(node.operand, columns)
        case ast.UnaryOp(op=ast.Not()):
            return ~np.asarray(_evaluate_rows(node.operand, columns), bool)
    raise ModelError(f"{ast.unparse(node)[:60]!r} is not allowed in an expression.")


def _compare(node: ast.Compare, columns: Mapping[str, Values]) -> Mask:
    left, results = _evaluate_rows(node.left, columns), []
    for op, part in zip(node.ops, node.comparators, strict=True):
        is_text = np.asarray(left).dtype == object and isinstance(op, MATCHES)
        right = _evaluate_rows(_quoted(part, columns) if is_text else part, columns)
        if isinstance(op, ast.In | ast.NotIn):
            members = right if isinstance(right, list) else [right]
            inside = np.logical_or.reduce([_matched(operator.eq, left, member) for member in members])
            results.append(inside if isinstance(op, ast.In) else ~inside)
        elif type(op) in COMPARISONS:
            results.append(_matched(COMPARISONS[type(op)], left, right))
        else:
            raise ModelError(f"{ast.unparse(node)[:60]!r} is not allowed in an expression.")
        left = right
    passed: Mask = np.logical_and.reduce(np.broadcast_arrays(*results))
    return passed


def _matched(compare: Callable[[Any, Any], Any], left: Any, right: Any) -> Mask:
    """Compare numbers as numbers, also where one is written as text; texts only for being the same.

    A missing value is the same as nothing.
    """
    sides = [as_values(np.atleast_1d(np.asarray(side))) for side in (left, right)]
    if all(side.dtype != object for side in sides):
        passed: Mask = compare(*sides)
        return passed
    if compare not in (operator.eq, operator.ne):
        raise ModelError("texts have no order: compare them by == or !=.")
    texts = [
        np.array([None if v is None else level_name(v) for v in side.tolist()], object) for side in sides
    ]
    there = np.array([value is not None for value in texts[0].tolist()])
    same: Mask = there & (texts[0] == texts[1])
    return same if compare is operator.eq else ~same


def _quoted(node: ast.expr, columns: Mapping[str, Values]) -> ast.expr:
    """Return a tree in which bare words that are no columns are texts, as in ``face_type == famous``."""
    match node:
        case ast.Name(id=word) if word not in columns:
            return ast.Constant(word)
        case ast.List() | ast.Tuple() | ast.Set():
            return ast.List([_quoted(part, columns) for part in node.elts])
    return node


def _evaluate_form(node: ast.expr, keys: Mapping[str, str]) -> Form:
    """Return a linear form (dict of name to weight) or a number."""
    match node:
        case ast.Constant(value=int() | float() as value) if not isinstance(value, bool):
            return float(value)
        case ast.Name(id=key) if key in keys:
            return {keys[key]: 1.0}
        case ast.UnaryOp(op=ast.USub()):
            return _scaled(_evaluate_form(node.operand, keys), -1.0)
        case ast.UnaryOp(op=ast.UAdd()):
            return _evaluate_form(node.operand, keys)
        case ast.BinOp(op=op) if type(op) in ARITHMETIC:
            left, right = (_evaluate_form(part, keys) for part in (node.left, node.right))
            return _combined(op, left, right)
        case ast.Name() | ast.Attribute():
            word = ast.unparse(node)
            raise ModelError(f"There is no condition {word!r:.60}. {near_or_there(word, keys.values())}")
    raise ModelError(f"{ast.unparse(node)[:60]!r} is not allowed in a contrast.")


def _combined(op: ast.operator, left: Form, right: Form) -> Form:
    if not isinstance(left, dict) and not isinstance(right, dict):
        number: float = ARITHMETIC[type(op)](left, right)
        return number
    if isinstance(op, ast.Div) and not isinstance(right, dict):
        return _scaled(left, 1.0 / right)
    if isinstance(op, ast.Mult) and not isinstance(right, dict):
        return _scaled(left, right)
    if isinstance(op, ast.Mult) and not isinstance(left, dict):
        return _scaled(right, left)
    if isinstance(op, ast.Add | ast.Sub) and isinstance(left, dict) and isinstance(right, dict):
        sign = 1.0 if isinstance(op, ast.Add) else -1.0
        return {name: left.get(name, 0.0) + sign * right.get(name, 0.0) for name in {**left, **right}}
    raise ModelError("a contrast is a weighted sum of conditions, such as 0.5*a + 0.5*b - c.")


def _scaled(form: Form, factor: float) -> Form:
    return (
        {name: weight * factor for name, weight in form.items()} if isinstance(form, dict) else form * factor
    )
