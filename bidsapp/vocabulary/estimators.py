"""The estimators of the group level: one row an estimator."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class EstimatorWords:
    """How an estimator is called, and what it needs.

    Attributes
    ----------
    name : str
        As ``--group-estimator`` takes it.
    words, short : str
        In records, sidecars and the methods text; in a word or two, for figures.
    needs_variances : bool
        Whether it weighs inputs by their variance maps.
    needs_subjects : bool
        Whether it must know which inputs come from one subject.
    allows_variance_groups : bool
        Whether groups may have variances of their own.
    supposes_one_variance : bool
        Whether its errors are wrong where the inputs vary by different amounts, variance groups apart.
    has_sizes : bool
        Whether its effects have standardised sizes, variance groups apart.
    cites : tuple of str
        The works that the methods text cites.
    """

    name: str
    words: str
    short: str
    needs_variances: bool = False
    needs_subjects: bool = False
    allows_variance_groups: bool = False
    supposes_one_variance: bool = True
    has_sizes: bool = False
    cites: tuple[str, ...] = ()


_ROWS = (
    EstimatorWords("ols", "ordinary least squares", "OLS", allows_variance_groups=True, has_sizes=True),
    EstimatorWords(
        "reml",
        "mixed effects, REML, Knapp-Hartung standard errors",
        "REML",
        cites=("patterson1971", "knapp2003"),
        needs_variances=True,
        allows_variance_groups=True,
    ),
    EstimatorWords(
        "flame1",
        "mixed effects, REML, as FSL's FLAME 1",
        "FLAME 1",
        cites=("woolrich2004",),
        needs_variances=True,
        allows_variance_groups=True,
    ),
    EstimatorWords(
        "dl",
        "mixed effects, DerSimonian-Laird, Knapp-Hartung standard errors",
        "DerSimonian-Laird",
        cites=("dersimonian1986", "knapp2003"),
        needs_variances=True,
    ),
    EstimatorWords(
        "fixed",
        "fixed effects (known variances)",
        "fixed effects",
        needs_variances=True,
        supposes_one_variance=False,
    ),
    EstimatorWords("huber", "robust regression (Huber)", "Huber", cites=("huber1964",)),
    EstimatorWords(
        "sandwich",
        "least squares with a sandwich covariance (CR2, Satterthwaite)",
        "sandwich",
        cites=("pustejovsky2018",),
        needs_subjects=True,
        supposes_one_variance=False,
    ),
)
ESTIMATORS = {row.name: row for row in _ROWS}
