"""Formulas of the command line: means, slopes and tests of terms against statsmodels; faults and notes."""

import json
from itertools import product

import numpy as np
import pandas as pd
import pytest
import statsmodels.formula.api as smf
from hypothesis import given, settings
from hypothesis import strategies as st
from patsy import build_design_matrices
from statsmodels.stats.anova import anova_lm

from bidsapp.design.coding import fit_formula
from bidsapp.design.formula import formula_words
from bidsapp.design.group.commands import Known
from bidsapp.design.group.formulas import make_formula_document
from bidsapp.design.group.marginal import Margins, over_columns
from bidsapp.design.transformers.variables import as_values
from bidsapp.errors import ModelError, SettingsError
from bidsapp.model.read import parse_model

N = 60
RNG = np.random.default_rng(3)
TABLE = pd.DataFrame(
    {
        "group": RNG.choice(["control", "patient"], N),
        "site": RNG.choice(["A", "B", "C"], N, p=[0.5, 0.3, 0.2]),
        "dose": RNG.choice(["low", "mid", "high"], N),
        "age": RNG.normal(40, 9, N).round(1),
        "iq": RNG.normal(100, 12, N).round(1),
        "y": RNG.normal(size=N),
    }
)
FACTORS, NUMBERS = ("group", "site", "dose"), ("age", "iq")


def know(table=TABLE):
    columns = {name: [str(value) for value in table[name]] for name in table if name != "y"}
    return Known(("faces",), columns, tuple(f"sub-{i + 1:02d}" for i in range(len(table))))


def make(text, *contrasts, known=None, orders=None):
    document, notes = make_formula_document(text, contrasts, known or know(), orders or {})
    (node,) = parse_model(json.dumps(document), "the command", markup_is_text=True).nodes
    return document, node, notes


def weigh(node):
    """Return the weights over the columns of each contrast of a node, and the design."""
    values = {name: as_values(TABLE[name].to_numpy(object)) for name in formula_words(node.formula)}
    design = fit_formula(node.formula, values, N)
    found = {}
    for written in node.contrasts:
        rule = over_columns(written, Margins(design))
        found[rule.name] = np.zeros((len(rule.weights), len(design.names)))
        for name, column in zip(rule.conditions, np.array(rule.weights).T, strict=True):
            found[rule.name][:, design.names.index(name)] = column
    return found, design.matrix


def evaluate(weights, matrix, y):
    """Return effects and t, or F with its degrees of freedom, of a contrast."""
    inverse = np.linalg.inv(matrix.T @ matrix)
    beta = inverse @ matrix.T @ y
    dof = len(y) - matrix.shape[1]
    variance = ((y - matrix @ beta) ** 2).sum() / dof
    effects, covariance = weights @ beta, weights @ inverse @ weights.T * variance
    return effects, effects @ np.linalg.solve(covariance, effects) / len(effects)


def predict(fitted, **held):
    """Return the mean row of patsy's design over all cells, numbers at their means, as emmeans has it."""
    used = [name for name in (*FACTORS, *NUMBERS) if name in fitted.model.formula]
    levels = [
        [held[name]]
        if name in held
        else sorted(set(TABLE[name]))
        if name in FACTORS
        else [TABLE[name].mean()]
        for name in used
    ]
    grid = pd.DataFrame(list(product(*levels)), columns=used)
    (rows,) = build_design_matrices([fitted.model.data.model_spec], grid)
    return np.asarray(rows).mean(axis=0)


def slope(fitted, name, **held):
    mean = TABLE[name].mean()
    return (predict(fitted, **held, **{name: mean + 1}) - predict(fitted, **held, **{name: mean - 1})) / 2


MEANS = {
    "~ group * age + site": {
        "mean": lambda f: predict(f),
        "patient vs control": lambda f: predict(f, group="patient") - predict(f, group="control"),
        "age": lambda f: slope(f, "age"),
        "patient - control": lambda f: predict(f, group="patient") - predict(f, group="control"),
        "site.B:patient - B": lambda f: predict(f, site="B", group="patient") - predict(f, site="B"),
        "patient:age": lambda f: slope(f, "age", group="patient"),
    },
    "~ group * site * age + iq": {
        "patient - control": lambda f: predict(f, group="patient") - predict(f, group="control"),
        "A:control:age - age": lambda f: slope(f, "age", site="A", group="control") - slope(f, "age"),
        "(A + B) / 2 - C": lambda f: (predict(f, site="A") + predict(f, site="B")) / 2 - predict(f, site="C"),
    },
    "~ 0 + site + age:group": {
        "A": lambda f: predict(f, site="A"),
        "patient:age - control:age": lambda f: (
            slope(f, "age", group="patient") - slope(f, "age", group="control")
        ),
    },
    "~ age * iq": {
        "age": lambda f: np.array([0, 1, 0, 0]),
        "mean:age": lambda f: slope(f, "age"),
        "mean": predict,
    },
    "~ group / age": {"patient:age": lambda f: slope(f, "age", group="patient"), "mean": predict},
    "~ group + I(age ** 2) + age": {"mean": predict, "I(age ** 2)": lambda f: np.array([0, 0, 1, 0])},
}


@pytest.mark.parametrize("text", MEANS)
def test_marginal_means_and_slopes_are_those_of_predictions(text):
    usual = {rule.name for rule in make(text)[1].contrasts}
    _, node, _ = make(text, *(name for name in MEANS[text] if name not in usual))
    fitted = smf.ols(f"y {text}", TABLE).fit()
    weights, matrix = weigh(node)
    for name, expected in MEANS[text].items():
        oracle = fitted.t_test(expected(fitted))
        effects, squared = evaluate(weights[name], matrix, TABLE["y"].to_numpy())
        np.testing.assert_allclose(effects, oracle.effect, rtol=1e-7, atol=1e-10)
        np.testing.assert_allclose(squared, oracle.tvalue.item() ** 2, rtol=1e-6)


TERMS = [
    "group * site",
    "group * age + site",
    "group * site * dose",
    "site + age * iq",
    "group * site + dose:age",
]


@pytest.mark.parametrize("text", TERMS)
def test_tests_of_terms_are_type_iii_with_sums_to_zero(text):
    _, node, _ = make(f"~ {text}")
    summed = text
    for name in FACTORS:
        summed = summed.replace(name, f"C({name}, Sum)")
    oracle = anova_lm(smf.ols(f"y ~ {summed}", TABLE).fit(), typ=3)
    weights, matrix = weigh(node)
    seen = 0
    for term, expected in oracle["F"].items():
        plain = [part.replace("C(", "").replace(", Sum)", "") for part in term.split(":")]
        name = " x ".join(plain)
        if term in ("Intercept", "Residual"):
            continue
        name = name if name in weights else "patient vs control"
        assert len(weights[name]) == oracle["df"][term]
        np.testing.assert_allclose(
            evaluate(weights[name], matrix, TABLE["y"].to_numpy())[1], expected, rtol=1e-7
        )
        seen += 1
    assert seen == len(oracle) - 2


@pytest.mark.parametrize(
    "text", ["C(group, Sum) * C(site, Sum)", 'C(group, Treatment("patient")) * site', "0 + group:site"]
)
def test_codings_change_no_test(text):
    plain, matrix = weigh(make("group * site")[1])
    other, coded = weigh(make(text)[1])
    y = TABLE["y"].to_numpy()
    for name in set(plain) & set(other) - {"group x site"}:
        np.testing.assert_allclose(
            evaluate(plain[name], matrix, y)[1], evaluate(other[name], coded, y)[1], rtol=1e-7
        )
    assert "mean" in set(plain) & set(other)


def test_the_document_is_readable_and_has_the_order_of_the_dataset():
    document, node, notes = make(
        "~ group * dose", "patient - control", orders={"dose": ["none", "low", "mid", "high"]}
    )
    assert node.formula == '1 + group * C(dose, levels=["low", "mid", "high"])'
    assert node.x == ("intercept", "group", "dose")
    rules = {rule.name: rule for rule in node.contrasts}
    assert rules["patient - control"].conditions == ("group.patient", "group.control")
    assert rules["dose"].test == "F"
    assert rules["dose"].conditions == ("dose.mid", "dose.low", "dose.high")
    assert "dose against low (low, mid, high)" in document["Description"]
    assert notes[0] in document["Description"]
    # Levels that the dataset does not list are sorted.
    assert make("~ dose", orders={"dose": ["low", "mid"]})[1].formula == "1 + dose"


def test_notes_tell_of_codes_and_of_tests_at_zero():
    table = TABLE.assign(code=RNG.integers(1, 4, N))
    _, _, notes = make("~ code + group * age", known=know(table))
    assert any(
        "code (1, 2, 3) enters as numbers; if these are codes, write C(code)" in note for note in notes
    )
    assert any("the test of group is at age = 0" in note and "center(age)" in note for note in notes)
    assert len(make("~ C(code) + group * center(age)", known=know(table))[2]) == 1


FAULTS = {
    "~ grup": ((), "there is no column 'grup'. Did you mean 'group'?"),
    "~ group + copy": (
        (),
        "copy[T.q] says nothing that group[T.patient] do not say: they are collinear. "
        "Leave out copy or group",
    ),
    "~ age + twice": (
        (),
        "twice says nothing that intercept, age do not say: they are collinear. Leave out twice or age",
    ),
    "~ one + age": ((), "'one' is 'x' in all participants"),
    "~ same + age": ((), "same is the same in all participants. Leave same out"),
    "~ group * cell": (
        (),
        "no participant is in group[T.patient]:cell[T.q], and group:cell needs all of its cells. "
        "Leave group:cell out",
    ),
    "~ C(code)": ((), "participants have values of all its columns, and it makes"),
    "~ log(iq)": ((), "log(iq) needs values above 0 (sub-03: -1)"),
    "~ nobody": ((), "no participant has a value of nobody"),
    "~ mean": ((), "'mean' is the name of a mean. Rename the column"),
    "~ group": (
        ("patiant - control",),
        "'patiant' is no level, column or slope of the formula. Did you mean 'patient'?",
    ),
    "~ group + age": (("patient - control:ages",), "'ages' is no level"),
    "~ group + site": (("patient * control",), "weighted sum"),
    "~ site": (("__import__('os')",), "'__import__' is no level"),
    "~ group + iqq": ((), "Did you mean 'iq'?"),
    "~ group + 0": (("patient:control",), "'patient:control' has two levels of one factor"),
}


@pytest.mark.parametrize("text", FAULTS)
def test_faults_are_told_with_what_to_do(text):
    table = TABLE.assign(
        copy=np.where(TABLE["group"] == "patient", "q", "p"),
        twice=TABLE["age"] * 2 + 1,
        one="x",
        code=range(N),
        same=3,
        cell=np.where(TABLE["group"] == "patient", "p", RNG.choice(["p", "q"], N)),
        iq=np.where(TABLE.index == 2, -1.0, TABLE["iq"]),
        nobody="n/a",
        mean=1.0,
    )
    contrasts, said = FAULTS[text]
    with pytest.raises(SettingsError) as error:
        make(text, *contrasts, known=know(table))
    assert said in str(error.value)


def test_levels_may_be_hostile_text():
    levels = ['it\'s "x"', "__import__('os')", "a - b", "01"]
    table = TABLE.assign(**{"my group": [levels[i % 4] for i in range(N)]})
    known = know(table)
    reference = r"""C(`my group`, Treatment(reference="it's \"x\""))"""
    document, node, _ = make(
        f"~ {reference} + age", "`a - b` - `__import__('os')`", "d=`my group.01` - mean", known=known
    )
    rules = {rule.name: rule for rule in node.contrasts}
    assert rules["a - b - __import__('os')"].conditions == ("my group.a - b", "my group.__import__('os')")
    assert rules["d"].conditions == ("my group.01", "mean")
    assert document["Nodes"][0]["Model"]["X"] == [1, "my group", "age"]


WORDS = [
    "patient",
    "control",
    "age",
    "A",
    "site.B",
    "mean",
    "group",
    ":",
    "+",
    "-",
    "*",
    "/",
    "(",
    ")",
    " ",
    "2",
    "0.5",
]
WORDS += [
    "`",
    "'",
    '"',
    ";",
    ".",
    "[",
    "]",
    "__import__",
    "eval",
    "lambda",
    "**",
    "=",
    ",",
    "group[T.patient]",
]


@settings(max_examples=200, deadline=None)
@given(st.one_of(st.lists(st.sampled_from(WORDS), max_size=12).map("".join), st.text(max_size=30)))
def test_random_contrasts_are_weights_or_faults(text):
    try:
        _, node, _ = make("~ group * age + site", text)
    except (SettingsError, ModelError):
        return
    assert all(np.isfinite(rule.weights).all() for rule in node.contrasts)
