"""What the methods text says of the noise model of the runs."""

from collections.abc import Sequence

from bidsapp.outputs.saved.participant import NoiseRecord, RunRecord, SubjectRecord
from bidsapp.report.drawing.scale import short
from bidsapp.vocabulary.noise import NOISE_MODELS

# What the text says of every run, where it is the same whatever was found.
SIMPLE = {row.name: row.says for row in NOISE_MODELS.values() if row.says}
OF_ANY_ORDER = {row.name for row in NOISE_MODELS.values() if row.order is None}
WHITE = {row.name for row in NOISE_MODELS.values() if row.order == 0}


def say_noise(record: SubjectRecord) -> str:
    """Say how serial correlation was treated, once for runs that were treated alike."""
    runs = record.runs
    said = [SIMPLE.get(run.noise_model, "") for run in runs if not _is_corrected(run)]
    said += [f"The noise model was {run.noise_model}." for run in runs if _is_unknown(run)]
    corrected = [run.noise for run in runs if run.noise and run.noise.corrected]
    return " ".join(dict.fromkeys(filter(None, [*said, _say_corrected(corrected)])))


def _is_corrected(run: RunRecord) -> bool:
    return run.noise is not None and run.noise.corrected


def _is_unknown(run: RunRecord) -> bool:
    return not _is_corrected(run) and run.noise_model not in SIMPLE


def _say_corrected(noise: Sequence[NoiseRecord]) -> str:
    if not noise:
        return ""
    orders = " or ".join(str(order) for order in sorted({each.order for each in noise}))
    is_auto = any(each.requested in OF_ANY_ORDER for each in noise)
    rule = " (lags up to 4 s, fewer in short runs)" if is_auto else ""
    known = [found for each in noise if (found := [value for value in each.dof if value is not None])]
    span = ""
    if known:
        low, high = min(values[0] for values in known), max(values[2] for values in known)
        median = sorted(values[1] for values in known)[len(known) // 2]
        span = f" (median {median:.0f}, most voxels of a run within {low:.0f} and {high:.0f})"
    return (
        "Serial correlation was modelled in every voxel as an autoregressive process of order "
        f"{orders}{rule}, its coefficients estimated by restricted maximum likelihood [@patterson1971], and "
        "removed by prewhitening [@worsley2002]. The variances of effects were corrected for the estimated "
        "coefficients, and their degrees of freedom found by Satterthwaite's approximation"
        f"{span} [@kenward1997]; those of F tests by that of Fai and Cornelius [@fai1996]."
    )


def say_noise_smoothing(record: SubjectRecord) -> str:
    """Say how noise coefficients were smoothed; white noise has none."""
    fwhm = record.choices.run.noise_smoothing_fwhm
    if not fwhm or {run.noise_model for run in record.runs} <= WHITE:
        return ""
    known = [run.noise.share for run in record.runs if run.noise]
    shares = sorted(share for share in known if share is not None)
    counted = (
        f", and the share of their variance that this leaves (median {short(shares[len(shares) // 2])}) "
        "entered the correction [@worsley2002]"
        if shares
        else ""
    )
    return (
        f"Its coefficients were smoothed with {short(fwhm)} mm over voxels of like mean intensity "
        f"[@durand2002]{counted}."
    )
