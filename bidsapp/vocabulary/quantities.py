"""What the maps hold: one row a quantity."""

from dataclasses import dataclass

from bidsapp.vocabulary.noise import MAX_ORDER


@dataclass(frozen=True, slots=True)
class Quantity:
    """One quantity of a voxel.

    Attributes
    ----------
    label : str
        In file names (``stat-``), records and tables.
    words : str
        What it is, as sidecars say.
    unit : str
        ``{effect}`` is the unit of the effect, ``{input}`` that of the inputs, which differs where an effect
        is one unit of a covariate.
    listed : bool
        Whether tables list it at peaks, beside the statistic.
    """

    label: str
    words: str
    unit: str
    listed: bool = False


_ROWS = (
    Quantity(
        "z", "z value of the statistic's p-value, with the sign of the effect", "arbitrary", listed=True
    ),
    Quantity("effect", "contrast of parameter estimates", "{effect}", listed=True),
    Quantity("variance", "sampling variance of the effect", "({effect})^2"),
    Quantity("t", "t statistic", "arbitrary"),
    Quantity("F", "F statistic", "arbitrary"),
    Quantity("p", "uncorrected p-value", "probability"),
    Quantity("n", "number of inputs that the voxel was fitted with", "count"),
    Quantity("q", "p-value adjusted for the false discovery rate", "probability"),
    Quantity("tdp", "lower bound of the share of truly active voxels in the cluster of a voxel", "fraction"),
    Quantity("d", "effect over the residual standard deviation (Cohen's d)", "standard deviations"),
    Quantity("g", "Hedges' g, the effect d corrected for few inputs", "standard deviations", listed=True),
    Quantity("gLow", "lower limit of the 95 % confidence interval of Hedges' g", "standard deviations"),
    Quantity("gHigh", "upper limit of the 95 % confidence interval of Hedges' g", "standard deviations"),
    Quantity(
        "partialrsquare",
        "share of the remaining variance that the contrast explains",
        "fraction",
        listed=True,
    ),
    Quantity("detectable", "smallest effect that the test finds with a power of 0.8", "{effect}"),
    Quantity("tau2", "variance between inputs", "({input})^2"),
    Quantity("isquared", "share of the variance of effects that lies between inputs (I squared)", "percent"),
    Quantity("cochranq", "heterogeneity of the inputs (Cochran's Q)", "arbitrary"),
    Quantity("pcochranq", "p-value of Cochran's Q", "probability"),
    Quantity("robustweight", "smallest weight that the robust fit gives to an input", "fraction"),
    Quantity("epsilonGG", "Greenhouse and Geisser's estimate of sphericity", "fraction"),
    Quantity("pGG", "uncorrected p-value of F with Greenhouse-Geisser's dof", "probability"),
    Quantity("size", "number of voxels of the cluster", "count"),
    Quantity("mass", "mass of the cluster", "arbitrary"),
    Quantity("tfce", "threshold-free cluster enhancement", "arbitrary"),
    Quantity("logp", "minus log10 of the p-value", "arbitrary"),
    Quantity("score", "shuffled statistic, where it is not that of the estimator", "arbitrary"),
    Quantity("dof", "degrees of freedom", "count", listed=True),
    Quantity("rsquare", "share of variance that the model explains (R squared)", "fraction"),
    Quantity("sigmasquared", "residual variance of the whitened model", "({input})^2"),
    Quantity("ar1", "first autoregressive coefficient of the noise", "arbitrary"),
    *(
        Quantity(f"ar{k}", f"autoregressive coefficient {k} of the noise", "arbitrary")
        for k in range(2, MAX_ORDER + 1)
    ),
    Quantity("tsnr", "temporal signal-to-noise ratio: mean over standard deviation over time", "arbitrary"),
    Quantity("coverage", "number of inputs with data", "count"),
)
QUANTITIES = {row.label: row for row in _ROWS}
# In the order of columns.
LISTED = tuple(row.label for row in _ROWS if row.listed)
