"""Combine estimates that share the noise of a run, and follow what an estimate was made from.

Contrasts of one run are correlated. Every estimate of a subject is a weighted sum of contrasts of runs, its
``parts``; the covariance of any two follows from those weights and from how the contrasts of each run vary
together. Runs are independent of each other.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import reduce
from operator import add

import numpy as np

from bidsapp.records.arrays import Labels, Map, Maps, Mask, Matrices, Matrix
from bidsapp.records.maps import Contrast, Estimate, JointEstimate
from bidsapp.stats.blocks import cut_blocks, find_patterns
from bidsapp.stats.linear import RANK_TOLERANCE, is_estimable

# Arrays of the size of a covariance of the inputs that a voxel needs at a time.
COPIES = 16


@dataclass(frozen=True, slots=True, eq=False)
class RunContrasts:
    """How the t contrasts of one run vary together.

    Attributes
    ----------
    label : str
        The run; parts of the same label share their noise.
    variances : tuple of ndarray, shape (n_voxels,)
        Of each contrast.
    correlations : ndarray, shape (n_bins, n_contrasts, n_contrasts)
    bins : ndarray of int, shape (n_voxels,)
        The noise of each voxel; negative where there is none.
    dof : float or tuple of ndarray, shape (n_voxels,)
        Of each contrast, where they differ.
    """

    label: str
    variances: tuple[Map, ...]
    correlations: Matrices
    bins: Labels
    dof: float | tuple[Map, ...]

    def restrict(self, inside: Mask) -> "RunContrasts":
        """Return the same of some voxels (True where kept)."""
        dof = tuple(d[inside] for d in self.dof) if isinstance(self.dof, tuple) else self.dof
        variances = tuple(v[inside] for v in self.variances)
        return replace(self, variances=variances, bins=self.bins[inside], dof=dof)

    def smallest_dof(self, contrasts: Sequence[int], voxels: Labels) -> Map:
        """Return the degrees of freedom of a sum of contrasts, not more than any has, shape (n_voxels,)."""
        if not isinstance(self.dof, tuple):
            return np.full(len(voxels), self.dof)
        smallest: Map = np.min([self.dof[index][voxels] for index in contrasts], axis=0)
        return smallest

    def covariance(self, contrasts: Sequence[int], voxels: Labels) -> Matrices:
        """Return the covariance of some contrasts, shape (n_voxels, n_contrasts, n_contrasts)."""
        deviations = np.sqrt(np.stack([self.variances[index][voxels] for index in contrasts], axis=1))
        correlations = self.correlations[:, contrasts][:, :, contrasts][self.bins[voxels]]
        return correlations * deviations[:, :, None] * deviations[:, None, :]


@dataclass(frozen=True, slots=True, eq=False)
class Part:
    """What one run contributes to an estimate: contrast index to its weight, a number or one a voxel."""

    run: RunContrasts
    weights: dict[int, float | Map]

    def restrict(self, inside: Mask) -> "Part":
        """Return the same of some voxels (True where kept)."""
        weights = {i: w[inside] if isinstance(w, np.ndarray) else w for i, w in self.weights.items()}
        return Part(self.run.restrict(inside), weights)


def share_noise(parts: Sequence[Sequence[Part]]) -> bool:
    """Whether two of several estimates were made from the same run.

    Parameters
    ----------
    parts : sequence of sequences of Part
        Of each estimate.
    """
    labels = [part.run.label for made_from in parts for part in made_from]
    return len(set(labels)) < len(labels)


def join_parts(parts: Sequence[Sequence[Part]], carried: Maps) -> tuple[Part, ...]:
    """Return the parts of a combination of estimates.

    Parameters
    ----------
    parts : sequence of sequences of Part
        Of each input.
    carried : ndarray, shape (n_inputs, n_voxels)
        What each input carries into the combination.
    """
    runs: dict[str, RunContrasts] = {}
    weights: dict[str, dict[int, float | Map]] = {}
    for made_from, share in zip(parts, carried, strict=True):
        for part in made_from:
            runs[part.run.label] = part.run
            joined = weights.setdefault(part.run.label, {})
            for index, weight in part.weights.items():
                joined[index] = joined.get(index, 0.0) + weight * share
    return tuple(Part(run, weights[label]) for label, run in runs.items())


def combine_dependent(
    estimates: Sequence[Estimate],
    parts: Sequence[Sequence[Part]],
    matrix: Matrix,
    contrast: Contrast,
    *,
    method: str = "precision",
) -> tuple[Estimate | JointEstimate, Maps]:
    """Return one estimate from estimates of which some share runs, and what each input carries into it.

    Parameters
    ----------
    estimates : sequence of Estimate
    parts : sequence of sequences of Part
        What each estimate was made from.
    matrix : ndarray, shape (n_inputs, n_columns)
    contrast : Contrast
        Of the columns; with the test F the result is joint.
    method : {"precision", "equal"}

    Returns
    -------
    Estimate or JointEstimate
        Precision: with V the covariance of the inputs, S = (M' V^-1 M)^-1 and b the effects, the effect is
        c S M' V^-1 b and its variance c S c', made larger for weights that are estimated as those of
        ``fixed_effects`` are (Kenward and Roger 1997, Biometrics 53:983-997, with a variance for each run).
        Degrees of freedom by Satterthwaite from the share of each run.
    carried : ndarray, shape (n_inputs, n_voxels)
        As of ``fixed_effects.combine_with_shares``, for the first row.
    """
    weights = np.atleast_2d(np.asarray(contrast.weights, float))
    effects = np.stack([estimate.effect for estimate in estimates]).astype(float)
    valid = np.isfinite(effects) & (np.stack([estimate.variance for estimate in estimates]) > 0)
    (n_inputs, n_voxels), n_rows = effects.shape, len(weights)
    effect, dof = np.full((n_rows, n_voxels), np.nan), np.full(n_voxels, np.nan)
    covariance = np.full((n_rows, n_rows, n_voxels), np.nan)
    carried = np.zeros((n_inputs, n_voxels))
    for pattern, members in find_patterns(valid):
        if not is_estimable(matrix[pattern], weights):
            continue
        own = [parts[index] for index in pattern]
        for block in cut_blocks(len(members), COPIES * n_inputs**2):
            voxels = members[block]
            found = _combine_chunk(own, matrix[pattern], weights, method, voxels)
            share, covariance[:, :, voxels], dof[voxels], carried[np.ix_(pattern, voxels)] = found
            effect[:, voxels] = np.einsum("vpi,iv->pv", share, effects[np.ix_(pattern, voxels)])
    if contrast.test == "F":
        return JointEstimate(contrast.name, effect, covariance, dof), carried
    return Estimate(contrast.name, effect[0], covariance[0, 0], dof), carried


def _find_blocks(parts: Sequence[Sequence[Part]]) -> list[list[int]]:
    """Return the groups of inputs that are connected by runs, as lists of indices."""
    blocks: list[tuple[list[int], set[str]]] = []
    for index, made_from in enumerate(parts):
        labels = {part.run.label for part in made_from}
        joined = [block for block in blocks if block[1] & labels]
        blocks = [block for block in blocks if block not in joined]
        members = sorted([index, *(i for block in joined for i in block[0])])
        blocks.append((members, labels.union(*(block[1] for block in joined))))
    return [members for members, _ in sorted(blocks, key=lambda block: block[0])]


def _combine_chunk(
    parts: Sequence[Sequence[Part]],
    matrix: Matrix,
    weights: Matrix,
    method: str,
    voxels: Labels,
) -> tuple[Matrices, Matrices, Map, Maps]:
    """Return weights (n_voxels, n_rows, n_inputs), covariance, dof, and what the inputs carry."""
    blocks = _find_blocks(parts)
    covariances = [_covariances([parts[index] for index in block], voxels) for block in blocks]
    precisions = [_invert(reduce(add, (covariance for covariance, _ in by_run))) for by_run in covariances]
    designs = [matrix[block] for block in blocks]
    normal = sum(m.T @ p @ m for m, p in zip(designs, precisions, strict=True))
    inverse = np.linalg.pinv(normal, hermitian=True)
    shares = np.empty((len(voxels), len(weights), len(matrix)))
    if method == "equal":
        shares[:] = weights @ np.linalg.pinv(matrix)
    else:
        for block, design, precision in zip(blocks, designs, precisions, strict=True):
            shares[:, :, block] = weights @ inverse @ design.T @ precision
    pieces, dof, totals, carried = [], [], [], np.empty((len(matrix), len(voxels)))
    for block, by_run, precision, design in zip(blocks, covariances, precisions, designs, strict=True):
        own = shares[:, :, block]
        excess: Matrices | float = 0.0
        for covariance, freedom in by_run:
            through = own @ covariance
            pieces.append(through @ _turned(own))
            dof.append(freedom)
            if method == "precision":
                along = through @ precision @ design
                spread = through @ precision @ _turned(through) - along @ inverse @ _turned(along)
                excess = excess + 4.0 / freedom[:, None, None] * spread
        plain: Matrices = reduce(add, pieces[-len(by_run) :])
        totals.append(plain + excess)
        enlarged = 1.0 + np.divide(excess, plain, out=np.zeros_like(plain), where=plain > 0)[:, 0, 0]
        carried[block] = own[:, 0].T * np.sqrt(enlarged)
    traces = np.trace(np.linalg.solve(reduce(add, pieces), np.stack(pieces)), axis1=-2, axis2=-1)
    pooled = len(weights) ** 2 / np.sum(np.square(traces) / np.array(dof), axis=0)
    return shares, np.moveaxis(reduce(add, totals), 0, -1), pooled, carried


def _turned(matrices: Matrices) -> Matrices:
    return np.swapaxes(matrices, 1, 2)


def _covariances(parts: Sequence[Sequence[Part]], voxels: Labels) -> list[tuple[Matrices, Map]]:
    """Return the covariance of connected inputs, (n_voxels, n_inputs, n_inputs), and dof, run by run."""
    runs = {part.run.label: part.run for made_from in parts for part in made_from}
    found: list[tuple[Matrices, Map]] = []
    for label, run in runs.items():
        own = [next((p.weights for p in made_from if p.run.label == label), {}) for made_from in parts]
        contrasts = sorted({index for weights in own for index in weights})
        shares = np.zeros((len(voxels), len(parts), len(contrasts)))
        for row, weights in enumerate(own):
            for index, weight in weights.items():
                shares[:, row, contrasts.index(index)] = (
                    weight[voxels] if isinstance(weight, np.ndarray) else weight
                )
        covariance = shares @ run.covariance(contrasts, voxels) @ _turned(shares)
        found.append((covariance, run.smallest_dof(contrasts, voxels)))
    return found


def _invert(covariance: Matrices) -> Matrices:
    """Return the inverses; generalized ones where inputs are linear combinations of each other."""
    scale = np.sqrt(np.diagonal(covariance, axis1=1, axis2=2))
    standard = covariance / scale[:, :, None] / scale[:, None, :]
    smallest = np.linalg.eigvalsh(standard[0])[0]
    if smallest > RANK_TOLERANCE:
        inverse = np.linalg.inv(standard)
    else:
        inverse = np.linalg.pinv(standard, rcond=RANK_TOLERANCE, hermitian=True)
    return inverse / scale[:, :, None] / scale[:, None, :]
