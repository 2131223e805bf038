"""The noise models of a run: one row a model, in the order in which flags list them."""

from dataclasses import dataclass

# The highest order of a model, and of those whose name without "-reml" is kept from earlier versions.
MAX_ORDER, MAX_SHORT_NAME = 12, 6


@dataclass(frozen=True, slots=True)
class NoiseWords:
    """How a noise model is called, and what it is.

    Attributes
    ----------
    name : str
        As ``--noise-model`` takes it.
    method : str
        Its estimator, as in ``stats.noise.autocorrelation.METHODS``.
    order : int or None
        None: chosen from the repetition time and the length of the run.
    is_corrected : bool
        Whether variances and degrees of freedom, which every voxel has of its own then, are corrected for the
        estimation of its coefficients.
    means_all : bool
        Whether percent are of the mean over all volumes, those that are left out among them.
    says : str
        What the methods text says of it; empty where that is made from the runs (order, degrees of freedom).
    sizes : tuple of (float, float)
        Repetition time (s) and share of p < .05 without an effect, the mean over noise and designs of
        ``python -m benchmarks.noise_models`` (docs/noise.md); empty: as many as there should be.
    """

    name: str
    method: str
    order: int | None
    is_corrected: bool = False
    means_all: bool = False
    says: str = ""
    sizes: tuple[tuple[float, float], ...] = ()


_ROWS = (
    NoiseWords("auto", "likelihood", None, is_corrected=True),
    NoiseWords(
        "ar1-reml",
        "grid",
        1,
        says="Serial correlation was modelled in every voxel as a first-order autoregressive process, its "
        "coefficient estimated by restricted maximum likelihood, and removed by prewhitening [@worsley2002].",
        sizes=((0.35, 0.23), (0.5, 0.19), (0.8, 0.12), (1.0, 0.11), (1.5, 0.08), (2.0, 0.058)),
    ),
    *(NoiseWords(f"ar{k}-reml", "likelihood", k, is_corrected=True) for k in range(2, MAX_ORDER + 1)),
    # To compare with nilearn.
    NoiseWords(
        "ar1",
        "nilearn",
        1,
        means_all=True,
        says="Serial correlation was modelled in every voxel as a first-order autoregressive process, its "
        "coefficient estimated from the residuals and cut to steps of 0.01 as nilearn does [@abraham2014], "
        "and removed by prewhitening [@worsley2002].",
        sizes=((0.35, 0.27), (0.5, 0.22), (0.8, 0.14), (1.0, 0.13), (1.5, 0.12), (2.0, 0.10)),
    ),
    *(NoiseWords(f"ar{k}", "likelihood", k, is_corrected=True) for k in range(2, MAX_SHORT_NAME + 1)),
    NoiseWords(
        "ols",
        "ols",
        0,
        says="Serial correlation was not modelled (ordinary least squares).",
        sizes=((0.35, 0.32), (0.5, 0.28), (0.8, 0.21), (1.0, 0.16), (1.5, 0.16), (2.0, 0.17)),
    ),
)
NOISE_MODELS = {row.name: row for row in _ROWS}
