"""Formulas: their grammar, their columns against formulaic, and that nothing in them is evaluated."""

import builtins

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bidsapp.design.coding import fit_formula
from bidsapp.design.formula import FUNCTIONS, formula_words, parse_formula
from bidsapp.errors import ModelError

N = 60
RNG = np.random.default_rng(1)
TABLE = {
    "g": RNG.choice(list("abc"), N).astype(object),
    "h": RNG.choice(["x", "y"], N).astype(object),
    "site": RNG.integers(1, 4, N).astype(float),
    "age": RNG.normal(30, 5, N),
    "iq": RNG.normal(100, 10, N),
}


def fit(text, table=None):
    table = TABLE if table is None else table
    return fit_formula(text, table, N, [f"sub-{i + 1:02d}" for i in range(N)])


@pytest.mark.parametrize(
    "text",
    [
        "g * age + h",
        "0 + g",
        "g - 1",
        "g:h",
        "g / h",
        "(g + age) / h",
        "(g + h + age)^2",
        "(g + h)**2 - g:h",
        "0 + g:age",
        "g:age",
        "age * iq",
        "C(site) * g",
        "g * h * C(site)",
        "g * h - h",
        "0 + age + g",
        "h + g:h",
        "g:h:age",
        "g + h:age + 0",
        "0 + h:g + g",
        "log(iq):g",
        "scale(age) + center(iq)",
        "poly(age, 2) * h",
        "I(age**2) + age",
        "age:iq:g + iq",
        "-1 + h / g",
        "g:age - 1 + h",
    ],
)
def test_columns_are_those_of_formulaic(text):
    from formulaic import Formula

    table = pd.DataFrame(
        {name: values.astype(int if name == "site" else values.dtype) for name, values in TABLE.items()}
    )
    expected = Formula(text).get_model_matrix(table)
    made = fit(text)
    names = [name.replace("Intercept", "intercept") for name in expected.columns]
    assert [name.replace(" ", "") for name in made.names] == [name.replace(" ", "") for name in names]
    np.testing.assert_allclose(made.matrix, expected.to_numpy(float), rtol=1e-9, atol=1e-9)


def test_codings_references_and_orders_are_those_that_are_said():
    made = fit('C(g, Treatment("b")) + C(site, Sum, levels=[3, "1", "2"])')
    assert made.names == ("intercept", "C(g)[T.a]", "C(g)[T.c]", "C(site)[S.3]", "C(site)[S.1]")
    expected = (TABLE["site"] == 3) * 1.0 - (TABLE["site"] == 2)
    np.testing.assert_array_equal(made.matrix[:, 3], expected)
    np.testing.assert_array_equal(made.matrix[:, 1], TABLE["g"] == "a")


def test_levels_and_names_may_hold_anything():
    levels = ['it\'s "x"', "__import__('os')", "a b"]
    table = {"my group": np.array([levels[i % 3] for i in range(N)], object)}
    made = fit(r"""C(`my group`, Treatment(reference="it's \"x\""))""", table)
    assert made.names == ("intercept", "C(my group)[T.__import__('os')]", "C(my group)[T.a b]")
    (atom,) = made.formula.atoms
    assert parse_formula(atom.text).atoms == (atom,)
    assert formula_words("`my group` * age + C(age)") == ["my group", "age"]


def test_polynomials_are_orthonormal_and_span_the_powers():
    columns = fit("poly(age, 3)").matrix
    np.testing.assert_allclose(columns[:, 1:].T @ columns, np.eye(4)[1:], atol=1e-10)
    powers = np.vander(TABLE["age"] - TABLE["age"].mean(), 4)
    np.testing.assert_allclose(columns @ np.linalg.lstsq(columns, powers, rcond=None)[0], powers, atol=1e-6)


def test_an_intercept_is_said_and_atoms_are_changed_in_place():
    parsed = parse_formula("effect ~ g * age + C(site)")
    assert parsed.rewrite(lambda atom: atom) == "1 + g * age + C(site)"
    coded = parsed.rewrite(
        lambda atom: parse_formula('C(g, levels=["b", "a"])').atoms[0] if atom.variable == "g" else atom
    )
    assert coded == '1 + C(g, levels=["b", "a"]) * age + C(site)'
    assert parse_formula("~ age - 1").rewrite(lambda atom: atom) == "age - 1"


WRONG = {
    "": "at the end",
    "~": "at the end",
    "age ~ iq": "left of ~",
    "__import__('os').system('x')": "not of the grammar",
    "__import__('os')": "no function here",
    "age.__class__": "'age.__class__' is no variable",
    "`__import__('os')`": "is no variable",
    "eval(age)": "'eval' is no function",
    "C(__import__('os'))": "')' is expected",
    "I(age + iq)": "a power of a column",
    "I(age ** iq)": "whole number",
    "log(log(age))": "')' is expected",
    "lambda: 0": "'0' is not expected",
    "[x for x in age]": "not expected",
    "age; iq": "not of the grammar",
    "age @ iq": "not of the grammar",
    "0.5 * age": "not of the grammar",
    "age iq": "'iq' is not expected",
    "(age": "')' is expected at the end",
    "age)": "')' is not expected",
    "2 + age": "'2' is not expected",
    "age ** 0": "whole number",
    "(age - 1) * g": "outside of parentheses",
    "*".join("abcdefghi"): "too many products",
    "(" * 400 + "age" + ")" * 400: "too many parentheses",
    "C(g, Helmert)": "C() takes",
    "C(g, Treatment(b))": "in quotes",
    'C(g, Treatment("d"))': "no level 'd'",
    'C(g, levels=["a", "b"])': "does not list the level of sub-",
    'C(g, levels=["a", "a"])': "twice",
    "C(g) + g": "factor twice",
    "C(site) + C(site, Sum)": "coded in two ways",
    "scale(g)": "holds texts",
    "poly(site, 3)": "more than 3 different values",
    "ages": "Did you mean 'age'",
    "0": "without rows or columns",
}


@pytest.mark.parametrize("text", WRONG)
def test_what_is_no_formula_says_why(text):
    with pytest.raises(ModelError) as error:
        fit(text)
    assert WRONG[text] in str(error.value)


def test_logarithms_name_who_has_none():
    table = {"iq": np.where(np.arange(N) == 2, -1.0, 5.0)}
    with pytest.raises(ModelError, match=r"log\(iq\) needs values above 0 \(sub-03: -1\)"):
        fit("log(iq)", table)


PIECES = [
    "age",
    "g",
    "h",
    "site",
    "`a b`",
    "0",
    "1",
    "2",
    " ",
    "+",
    "-",
    "*",
    "/",
    ":",
    "**",
    "^",
    "(",
    ")",
    ",",
    "~",
]
PIECES += [
    "[",
    "]",
    "=",
    '"a"',
    "'",
    '"',
    "`",
    ".",
    "__import__",
    "eval",
    "Sum",
    "Treatment",
    "levels",
    "lambda",
]


@settings(max_examples=300, deadline=None)
@given(
    st.one_of(
        st.lists(st.sampled_from([*PIECES, *FUNCTIONS]), max_size=25).map("".join), st.text(max_size=60)
    )
)
def test_random_text_is_never_evaluated(text):
    def evaluate(*_args, **_options):
        raise AssertionError(f"evaluated: {text!r}")

    with pytest.MonkeyPatch.context() as patch:
        for name in ("eval", "exec", "compile", "__import__"):
            patch.setattr(builtins, name, evaluate)
        try:
            made = fit(text)
        except ModelError:
            return
        assert made.matrix.shape == (N, len(made.names))
