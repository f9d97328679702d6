"""Crosstalk: how much of each muscle every electrode sees, from how their variances come and go, and without it.

Motor units of different muscles discharge independently of each other within milliseconds, so what two channels of raw
EMG share at the same instant is electrical: the potentials of one muscle seen by the electrodes of another (Kilner, Baker
& Lemon 2002, 10.1113/jphysiol.2001.012950). Rectified EMG cannot tell it from muscles that are active together.
"""

from __future__ import annotations

import numpy as np
import xarray as xr
from jaxtyping import Float

from myodrive.conditioning.windows import stretches
from myodrive.recording import sampling_rate

STRETCH_S = 0.1  # over which a muscle's strength is taken to be constant; .25 and 1 s find the mixture less well
ROUNDS = 50
CONVERGED = 1e-7
# Muscles whose strengths rise and fall in proportion leave open which of the two sees the other. Their mixture is drawn
# towards a symmetric one by as much as ratios of variances that differ by this factor (squared, mean) speak against it.
SYMMETRY = 0.1
LEAST_OWN = (
    0.5  # of a channel's root mean square that its own muscle must account for; two electrodes on one muscle do not
)


def fit_unmixing(trials: list[xr.DataArray]) -> Float[np.ndarray, "muscle muscle"]:
    """The matrix that takes the channels back to one muscle each.

    Every channel is modelled as its own muscle plus a share of the others, ``x(t) = A s(t)`` with independent ``s`` whose
    variances change in time, and ``A`` of diagonal 1. Then one matrix makes the covariances of all short stretches
    diagonal; it is found by maximum likelihood (Pham & Cardoso 2001, 10.1109/78.942614).

    Parameters
    ----------
    trials : list of DataArray (time, muscle)
        Filtered EMG with its sign. Only stretches in which no muscle is missing are used; a muscle that never varies is
        left alone.

    Returns
    -------
    array (muscle, muscle)
        The inverse of ``A``; the identity where there is nothing to learn from, or where a channel has more of others than
        of its own muscle.
    """
    n_muscle = trials[0].sizes["muscle"]
    nothing = np.eye(n_muscle)
    together = np.concatenate([np.zeros((0, n_muscle)), *(trial.values for trial in trials)])
    seen = np.isfinite(together).any(axis=0)  # an electrode may have been without contact throughout
    scale = np.zeros(n_muscle)
    scale[seen] = np.sqrt(np.nanmean(together[:, seen] ** 2, axis=0))
    used = np.flatnonzero(scale > 0)
    if used.size < 2:
        return nothing
    covariances = [_covariances(trial.isel(muscle=used) / scale[used]) for trial in trials]
    found = np.concatenate([np.zeros((0, used.size, used.size)), *covariances])
    if len(found) < 2 * used.size:
        return nothing
    mixture = np.linalg.inv(diagonalise(found))
    unmixing = np.linalg.inv(mixture / np.diag(mixture))
    left = np.sqrt(np.diag(unmixing @ found.mean(axis=0) @ unmixing.T))  # of each channel, whose root mean square is 1
    if (left > LEAST_OWN).all():
        nothing[np.ix_(used, used)] = unmixing * scale[used, None] / scale[used]
    return nothing


def unmix(trial: xr.DataArray, unmixing: Float[np.ndarray, "muscle muscle"]) -> xr.DataArray:
    """Filtered EMG without crosstalk. A sample that is missing stays so, and nothing of it is taken off the others."""
    values = np.asarray(trial.values, dtype=np.float64)
    return trial.copy(data=np.where(np.isfinite(values), np.nan_to_num(values) @ unmixing.T, np.nan))


def diagonalise(
    covariances: Float[np.ndarray, "stretch muscle muscle"], symmetry: float = SYMMETRY
) -> Float[np.ndarray, "muscle muscle"]:
    """The matrix ``B`` that makes all ``B C Bᵀ`` as diagonal as can be: least ``Σ log det diag(B C Bᵀ) − log det(B C Bᵀ)``.

    Pairs of rows are updated in turn by the closed form of Pham (2001, 10.1137/S089547980035689X), with a penalty on
    what is not symmetric in the mixture of the two.
    """
    c = np.array(covariances, dtype=np.float64)
    n = c.shape[1]
    b = np.eye(n)
    for _ in range(ROUNDS):
        largest = 0.0
        for i in range(1, n):
            for j in range(i):
                pair = [i, j]
                mixture = np.linalg.inv(b)
                skew = mixture[i, j] / mixture[j, j] - mixture[j, i] / mixture[i, i]
                step = _pair_step(c[:, i, i], c[:, j, j], c[:, i, j], symmetry, symmetry * skew)
                c[:, pair, :] = step @ c[:, pair, :]
                c[:, :, pair] = c[:, :, pair] @ step.T
                b[pair] = step @ b[pair]
                largest = max(largest, float(np.abs(step - np.eye(2)).max()))
        if largest < CONVERGED:
            break
    return b


def _pair_step(
    own: np.ndarray, other: np.ndarray, shared: np.ndarray, symmetry: float, pull: float
) -> Float[np.ndarray, "2 2"]:
    g_own, g_other = np.mean(shared / own), np.mean(shared / other)
    ratio, inverse = np.mean(other / own), np.mean(own / other)
    omega, balance = np.sqrt(ratio * inverse), np.sqrt(inverse / ratio)
    same = (balance * g_own + g_other) / (omega + 1)
    apart = (balance * g_own - g_other - pull) / (omega - 1 + symmetry)
    h_own, h_other = same + apart, (same - apart) / balance
    root = 1 + np.sqrt(max(1 - h_own * h_other, 0.0))
    return np.array([[1.0, -h_own / root], [-h_other / root, 1.0]])


def _covariances(trial: xr.DataArray) -> Float[np.ndarray, "stretch muscle muscle"]:
    """Of stretches of `STRETCH_S` in which no muscle is missing and none is all zeros."""
    values = np.asarray(trial.values, dtype=np.float64)
    length = max(round(STRETCH_S * sampling_rate(trial)), values.shape[1])
    whole = np.where(np.isfinite(values).all(axis=1, keepdims=True), values, np.nan)
    pieces = [whole[run] for run in stretches(trial.time.values, whole)]
    cut = np.concatenate(
        [np.zeros((0, length, values.shape[1]))]
        + [p[: len(p) // length * length].reshape(-1, length, values.shape[1]) for p in pieces]
    )
    found = np.einsum("ktm,ktn->kmn", cut, cut) / length
    return found[(np.diagonal(found, axis1=1, axis2=2) > 0).all(axis=1)]
