"""The columns of a design that filter the data: cosines of every frequency to be removed."""

from collections.abc import Iterable

import numpy as np

from bidsapp.records.arrays import Numbers


def high_pass_columns(cutoff_hz: float, frame_times: Numbers) -> dict[str, Numbers]:
    """Return the cosines of all frequencies up to a cut-off, by name; nilearn's ``create_cosine_drift``."""
    orders = range(1, _order(cutoff_hz, frame_times) + 1)
    return {f"drift_{k}": column for k, column in _cosines(orders, len(frame_times))}


def low_pass_columns(cutoff_hz: float, frame_times: Numbers) -> dict[str, Numbers]:
    """Return the cosines of all frequencies above a cut-off, by name; with them in, data are low-passed."""
    orders = range(_order(cutoff_hz, frame_times) + 1, len(frame_times))
    return {f"fast_{k}": column for k, column in _cosines(orders, len(frame_times))}


def _order(cutoff_hz: float, frame_times: Numbers) -> int:
    """Return the highest order of a cosine whose frequency is not above a cut-off."""
    n_volumes = len(frame_times)
    step = (frame_times[-1] - frame_times[0]) / (n_volumes - 1)
    return min(n_volumes - 1, int(np.floor(2 * n_volumes * cutoff_hz * step)))


def _cosines(orders: Iterable[int], n_volumes: int) -> list[tuple[int, Numbers]]:
    phase = np.pi / n_volumes * (np.arange(n_volumes) + 0.5)
    scale = np.sqrt(2.0 / n_volumes)
    return [(order, scale * np.cos(order * phase)) for order in orders]
