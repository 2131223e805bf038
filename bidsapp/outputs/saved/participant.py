"""The record of a participant."""

from bidsapp.outputs.saved.common import Dof, Maybe, Number, Record, Weights, saved
from bidsapp.records.documents import Document


@saved
class FilesRecord:
    """The input files of a run, null where there is none.

    Attributes
    ----------
    bold
        The series.
    mask
        Its mask.
    events
        Its events.
    confounds
        Its confounds.
    recordings
        Recordings that the design uses.
    """

    bold: str | None
    mask: str | None
    events: str | None
    confounds: str | None
    recordings: tuple[str, ...] = ()


@saved
class ContrastRecord:
    """A contrast of a run.

    Attributes
    ----------
    name
        As in the model.
    test
        ``t`` or ``F``.
    weights
        Column -> weight, those that are not 0; of F a list of these.
    """

    name: str
    test: str
    weights: Weights


@saved
class SkippedRecord:
    """A contrast that a run cannot make.

    Attributes
    ----------
    contrast
        Its name.
    reason
        Why.
    """

    contrast: str
    reason: str


@saved
class EventRecord:
    """An event as used.

    Attributes
    ----------
    onset
        In seconds.
    duration
        In seconds.
    trial_type
        Its condition.
    """

    onset: Number
    duration: float | None
    trial_type: str | None


@saved
class TissueRecord:
    """What is left in the whitened residuals of a tissue; bands are half the width of 95 % intervals.

    Attributes
    ----------
    n_voxels
        Voxels of the sample.
    outside
        Share of voxels with p < .05 in a portmanteau test.
    autocorrelation
        At the ``lags``.
    autocorrelation_band
        Its band.
    spectrum
        At the ``frequencies``.
    spectrum_band
        Its band.
    """

    n_voxels: int
    outside: Number
    autocorrelation: tuple[Number, ...]
    autocorrelation_band: tuple[Number, ...]
    spectrum: tuple[Number, ...]
    spectrum_band: tuple[Number, ...]


@saved
class NoiseCheckRecord:
    """What is left in the whitened residuals of a sample of voxels, and what the right model leaves.

    Attributes
    ----------
    source
        The segmentation; null: thirds by mean intensity.
    lags
        In seconds.
    autocorrelation
        What the right model leaves at the ``lags``.
    frequencies
        In Hz.
    spectrum
        What the right model leaves at the ``frequencies``.
    groups
        By tissue.
    """

    source: str | None
    lags: tuple[Number, ...]
    autocorrelation: tuple[Number, ...]
    frequencies: tuple[Number, ...]
    spectrum: tuple[Number, ...]
    groups: dict[str, TissueRecord]


@saved
class NoiseRecord:
    """The noise of a run.

    Attributes
    ----------
    model
        ``ar4-reml``, with its order, ``ar1``, ...
    order
        Lags of the autoregression.
    requested
        The model that was asked for.
    corrected
        Whether variances and degrees of freedom count that the noise is estimated.
    residual_dof
        Volumes less the rank of the design.
    dof
        5 %, median and 95 % over voxels and contrasts.
    at_limit
        Share of voxels near a unit root.
    share
        Median of what smoothing left of the coefficients' variance (1: not smoothed).
    check
        What is left in the whitened residuals.
    """

    model: str
    order: int
    requested: str
    corrected: bool
    residual_dof: Number
    dof: tuple[float | None, ...]
    at_limit: float | None
    share: float | None
    check: NoiseCheckRecord | None = None


@saved
class ResponseRecord:
    """The response to one event of a condition with several columns, at a voxel.

    Attributes
    ----------
    condition
        As in the design.
    node
        The node of the estimate whose strongest voxel it is.
    entities
        Those of the estimate.
    contrast
        Its contrast.
    position
        Of the voxel, in mm.
    z
        Of the contrast there.
    units
        Of the response, as of the estimate.
    duration
        Of the event in seconds: the median of the condition's.
    delays
        Whether each point is a column (FIR); else the response is a sum of shapes.
    seconds
        After the onset.
    effect
        At the ``seconds``, combined over runs by fixed effects.
    low
        Lower limit of the 95 % interval of each.
    high
        Upper limit.
    runs
        Label of the run -> the effect in it.
    """

    condition: str
    node: str
    entities: dict[str, str]
    contrast: str
    position: tuple[float, ...]
    z: Number
    units: str | None = None
    duration: float
    delays: bool
    seconds: tuple[float, ...]
    effect: tuple[Number, ...]
    low: tuple[Number, ...]
    high: tuple[Number, ...]
    runs: dict[str, tuple[Number, ...]]


@saved
class RunRecord:
    """A run as it was fitted.

    Attributes
    ----------
    label
        ``sub-01 task-stroop run-1``, unique in the record.
    entities
        Those of the BOLD file.
    node
        The node that fitted it.
    files
        Its input files.
    repetition_time
        In seconds.
    start_time
        When frame 0 was taken, in seconds.
    start_time_source
        Where that is from.
    n_volumes
        Volumes of the series.
    confounds
        Confound columns of the design.
    events
        The events.
    contrasts
        The contrasts made.
    skipped
        The contrasts not made.
    mask
        Path of the analysis mask.
    design
        Path of the design matrix; the first column may be ``frame_time``.
    contrast_table
        Path of the table of weights; its sidecar has ``VarianceInflation`` and ``Efficiency`` of each
        contrast.
    model_fit
        ``rsquare``, ``tsnr``, ``sigmasquared``, ``ar1``, ... -> path, those that were written.
    n_voxels
        In the mask.
    dof
        Residual degrees of freedom.
    censored
        Censored volumes, from 0.
    residuals
        Paths of the residuals, where they were asked for.
    noise_model
        ``model`` of ``noise``.
    noise
        The noise model.
    motion
        ``framewise_displacement``, ``trans_x``, ..., ``rot_z`` -> a value a volume: what the confounds file
        has, used or not.
    anatomy
        Path of the T1w image or else the BOLD reference in the space of the run, from the output folder: what
        maps outside MNI space are drawn on.
    vif
        Contrast -> how much correlated regressors inflate its variance; 1 is ideal.
    """

    label: str
    entities: dict[str, str]
    node: str
    files: FilesRecord
    repetition_time: float
    start_time: float
    start_time_source: str
    n_volumes: int
    confounds: tuple[str, ...]
    events: tuple[EventRecord, ...]
    contrasts: tuple[ContrastRecord, ...]
    skipped: tuple[SkippedRecord, ...]
    mask: str
    design: str
    contrast_table: str
    model_fit: dict[str, str]
    n_voxels: int
    dof: Number
    censored: tuple[int, ...]
    residuals: Maybe[tuple[str, ...]] = None
    noise_model: str
    noise: NoiseRecord | None = None
    motion: dict[str, tuple[float | None, ...]] | None = None
    anatomy: str | None = None
    vif: dict[str, float | None] | None = None


@saved
class LeftOutRecord:
    """A run that an estimate could have been made from.

    Attributes
    ----------
    run
        Its label.
    reason
        Why it is left out.
    """

    run: str
    reason: str


@saved
class EstimateRecord:
    """An estimate of any node of a participant.

    Attributes
    ----------
    node
        The node that made it.
    level
        ``run``, ``session`` or ``subject``.
    entities
        Those that the node did not average over.
    contrast
        As in the model.
    test
        ``t`` or ``F``.
    dof
        A number; of F numerator and denominator; null where it differs between voxels.
    units
        ``% signal change`` or ``image units``.
    method
        ``run GLM``, ``fixed effects``, ``passed through`` (one input) or another, in words.
    runs
        Labels of the runs that it was made from.
    left_out
        Those that it could have been made from.
    made_with
        What of the model decides the numbers, as fields of sidecars.
    warnings
        What its values depend on: also ``Warnings`` of the sidecars.
    asked
        Condition -> weight of a t contrast as the model has it.
    maps
        ``effect``, ``variance``, ``t``, ``z``, ``p`` (of F: ``F``, ``z``, ``p``) -> path.
    mask
        Path of the mask of these maps.
    """

    node: str
    level: str
    entities: dict[str, str]
    contrast: str
    test: str
    dof: Dof
    units: str | None = None
    method: str
    runs: tuple[str, ...]
    left_out: tuple[LeftOutRecord, ...] = ()
    made_with: Document | None = None
    warnings: tuple[str, ...] = ()
    asked: dict[str, float] | None = None
    maps: dict[str, str]
    mask: str


@saved
class SubjectRecord(Record):
    """``logs/sub-01_participant.json``: a participant.

    Attributes
    ----------
    subject
        ``01``.
    message
        Where it is not complete: what happened and the remedy, as the app printed it.
    runs
        The runs fitted.
    estimates
        All estimates, in the order made.
    responses
        Of conditions with several columns (basis sets, FIR), each at one voxel.
    warnings
        Sentences.
    cautions
        Those that the images gave rise to: a call that finds the work done warns of them again.
    written
        Path -> bytes of every file that the record names and of its sidecar: a file of another size, or one
        changed since whose check sum is wrong, is made again.
    """

    subject: str
    message: Maybe[str] = None
    runs: tuple[RunRecord, ...]
    estimates: tuple[EstimateRecord, ...]
    responses: tuple[ResponseRecord, ...] = ()
    warnings: tuple[str, ...]
    cautions: tuple[str, ...] = ()
    written: dict[str, int] | None = None
