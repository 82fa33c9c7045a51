"""Lag: what a panel holds back of one frame comes out with the next ones.

Each component traps a share of the energy of every frame and releases it exponentially. Nothing is lost: under constant
exposure the signal settles at the level that it would have without lag.
"""

from __future__ import annotations

import numpy as np

from DeepDRRSlicerLib.errors import InputError
from DeepDRRSlicerLib.physics.detector import Lag
from DeepDRRSlicerLib.physics.one_thread import weighted_sum


def with_lag(energy: np.ndarray, held: np.ndarray | None, lag: Lag, interval: float) -> tuple[np.ndarray, np.ndarray]:
    """(what is read out, what is held back afterwards) of one frame.

    energy: (rows, cols) keV that this frame's exposure gives. held: (components, rows, cols) as the frame before
    returned it, None for a panel at rest. interval: s since that frame. Both results are new float32 arrays. After one
    exposure of 1 the n-th frame behind shows sum of fraction (1 - exp(-interval/tau)) exp(-(n - 1) interval/tau).
    Raises InputError for an interval that is not above 0, and where the frames have different sizes.
    """
    fractions, kept = lag_shares(lag, interval).T
    energy = np.asarray(energy, dtype=np.float32)
    shape = (len(lag.fractions), *energy.shape)
    if held is None:
        held = np.zeros(shape, dtype=np.float32)
    if held.shape != shape:
        raise InputError("Lag needs frames of one size; start anew when field or binning change.")
    released = weighted_sum(1 - kept, held)
    signal = energy * (1 - fractions.sum()) + released
    return signal, held * kept[:, None, None] + energy * fractions[:, None, None]


def lag_shares(lag: Lag, interval: float) -> np.ndarray:
    """(components, 2) float32: the share of a frame that is held back, and what of it is left after `interval` s.

    Raises InputError for an interval that is not above 0.
    """
    if not 0 < interval < np.inf:
        raise InputError(f"The time between two frames must be greater than 0 s, not {interval:g} s.")
    return np.stack([lag.fractions, np.exp(-interval / np.array(lag.time_constants))], axis=1).astype(np.float32)
