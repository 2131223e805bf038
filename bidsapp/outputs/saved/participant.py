"""The record of a participant."""

from pydantic.dataclasses import dataclass

from bidsapp.outputs.saved.common import CONFIG, Dof, Maybe, Record, Weights
from bidsapp.records.documents import Document


@dataclass(frozen=True, slots=True, kw_only=True, config=CONFIG)
class FilesRecord:
    """The input files of a run, null where there is none."""

    bold: str | None
    """The series"""
    mask: str | None
    """Its mask"""
    events: str | None
    """Its events"""
    confounds: str | None
    """Its confounds"""
    recordings: tuple[str, ...] = ()
    """Recordings that the design uses"""


@dataclass(frozen=True, slots=True, kw_only=True, config=CONFIG)
class ContrastRecord:
    """A contrast of a run."""

    name: str
    """As in the model"""
    test: str
    """`t` or `F`"""
    weights: Weights
    """Column -> weight, those that are not 0; of F a list of these"""


@dataclass(frozen=True, slots=True, kw_only=True, config=CONFIG)
class SkippedRecord:
    """A contrast that a run cannot make."""

    contrast: str
    """Its name"""
    reason: str
    """Why"""


@dataclass(frozen=True, slots=True, kw_only=True, config=CONFIG)
class EventRecord:
    """An event as used."""

    onset: float
    """In seconds"""
    duration: float | None
    """In seconds"""
    trial_type: str | None
    """Its condition"""


@dataclass(frozen=True, slots=True, kw_only=True, config=CONFIG)
class TissueRecord:
    """What is left in the whitened residuals of a tissue; bands are half the width of 95 % intervals."""

    n_voxels: int
    """Voxels of the sample"""
    outside: float
    """Share of voxels with p < .05 in a portmanteau test"""
    autocorrelation: tuple[float, ...]
    """At the `lags`"""
    autocorrelation_band: tuple[float, ...]
    """Its band"""
    spectrum: tuple[float, ...]
    """At the `frequencies`"""
    spectrum_band: tuple[float, ...]
    """Its band"""


@dataclass(frozen=True, slots=True, kw_only=True, config=CONFIG)
class NoiseCheckRecord:
    """What is left in the whitened residuals of a sample of voxels, and what the right model leaves."""

    source: str | None
    """The segmentation; null: thirds by mean intensity"""
    lags: tuple[float, ...]
    """In seconds"""
    autocorrelation: tuple[float, ...]
    """What the right model leaves at the `lags`"""
    frequencies: tuple[float, ...]
    """In Hz"""
    spectrum: tuple[float, ...]
    """What the right model leaves at the `frequencies`"""
    groups: dict[str, TissueRecord]
    """By tissue"""


@dataclass(frozen=True, slots=True, kw_only=True, config=CONFIG)
class NoiseRecord:
    """The noise of a run."""

    model: str
    """`ar4-reml`, with its order, `ar1`, ..."""
    order: int
    """Lags of the autoregression"""
    requested: str
    """The model that was asked for"""
    corrected: bool
    """Whether variances and degrees of freedom count that the noise is estimated"""
    residual_dof: float
    """Volumes less the rank of the design"""
    dof: tuple[float | None, ...]
    """5 %, median and 95 % over voxels and contrasts"""
    at_limit: float | None
    """Share of voxels near a unit root"""
    share: float | None
    """Median of what smoothing left of the coefficients' variance (1: not smoothed)"""
    check: NoiseCheckRecord | None = None
    """What is left in the whitened residuals"""


@dataclass(frozen=True, slots=True, kw_only=True, config=CONFIG)
class RunRecord:
    """A run as it was fitted."""

    label: str
    """`sub-01 task-stroop run-1`, unique in the record"""
    entities: dict[str, str]
    """Those of the BOLD file"""
    node: str
    """The node that fitted it"""
    files: FilesRecord
    """Its input files"""
    repetition_time: float
    """In seconds"""
    start_time: float
    """When frame 0 was taken, in seconds"""
    start_time_source: str
    """Where that is from"""
    n_volumes: int
    """Volumes of the series"""
    confounds: tuple[str, ...]
    """Confound columns of the design"""
    events: tuple[EventRecord, ...]
    """The events"""
    contrasts: tuple[ContrastRecord, ...]
    """The contrasts made"""
    skipped: tuple[SkippedRecord, ...]
    """The contrasts not made"""
    mask: str
    """Path of the analysis mask"""
    design: str
    """Path of the design matrix; the first column may be `frame_time`"""
    contrast_table: str
    """Path of the table of weights; its sidecar has `VarianceInflation` and `Efficiency` of each contrast"""
    model_fit: dict[str, str]
    """`rsquare`, `tsnr`, `sigmasquared`, `ar1`, ... -> path, those that were written"""
    n_voxels: int
    """In the mask"""
    dof: float
    """Residual degrees of freedom"""
    censored: tuple[int, ...]
    """Censored volumes, from 0"""
    residuals: Maybe[str] = None
    """Path of the residuals, where they were asked for"""
    noise_model: str
    """`model` of `noise`"""
    noise: NoiseRecord | None = None
    """The noise model"""
    motion: dict[str, tuple[float | None, ...]] | None = None
    """`framewise_displacement`, `trans_x`, ..., `rot_z` -> a value a volume: what the confounds file has,
    used or not"""
    anatomy: str | None = None
    """T1w image or BOLD reference in the space of the run: what maps outside MNI space are drawn on"""
    vif: dict[str, float | None] | None = None
    """Contrast -> how much correlated regressors inflate its variance; 1 is ideal"""


@dataclass(frozen=True, slots=True, kw_only=True, config=CONFIG)
class LeftOutRecord:
    """A run that an estimate could have been made from."""

    run: str
    """Its label"""
    reason: str
    """Why it is left out"""


@dataclass(frozen=True, slots=True, kw_only=True, config=CONFIG)
class EstimateRecord:
    """An estimate of any node of a participant."""

    node: str
    """The node that made it"""
    level: str
    """`run`, `session` or `subject`"""
    entities: dict[str, str]
    """Those that the node did not average over"""
    contrast: str
    """As in the model"""
    test: str
    """`t` or `F`"""
    dof: Dof
    """A number; of F numerator and denominator; null where it differs between voxels"""
    units: str | None = None
    """`% signal change` or `image units`"""
    method: str
    """`run GLM`, `fixed effects`, `passed through` (one input) or another, in words"""
    runs: tuple[str, ...]
    """Labels of the runs that it was made from"""
    left_out: tuple[LeftOutRecord, ...] = ()
    """Those that it could have been made from"""
    made_with: Document | None = None
    """What of the model decides the numbers, as fields of sidecars"""
    warnings: tuple[str, ...] = ()
    """What its values depend on: also `Warnings` of the sidecars"""
    asked: dict[str, float] | None = None
    """Condition -> weight of a t contrast as the model has it"""
    maps: dict[str, str]
    """`effect`, `variance`, `t`, `z`, `p` (of F: `F`, `z`, `p`) -> path"""
    mask: str
    """Path of the mask of these maps"""


@dataclass(frozen=True, slots=True, kw_only=True, config=CONFIG)
class SubjectRecord(Record):
    """`logs/sub-01_participant.json`: a participant."""

    subject: str
    """`01`"""
    message: Maybe[str] = None
    """Where it is not complete: what happened and the remedy, as the app printed it"""
    runs: tuple[RunRecord, ...]
    """The runs fitted"""
    estimates: tuple[EstimateRecord, ...]
    """All estimates, in the order made"""
    warnings: tuple[str, ...]
    """Sentences"""
    cautions: tuple[str, ...] = ()
    """Those that the images gave rise to: a call that finds the work done warns of them again"""
    written: dict[str, int] | None = None
    """Path -> bytes of every file that the record names and of its sidecar: a file of another size, or one
    changed since whose check sum is wrong, is made again"""
