"""Muscles that were there in training and are missing now: from the others, with an interval that says so."""

from __future__ import annotations

import copy
import json
from typing import Any

import jax
import numpy as np
import xarray as xr
from jaxtyping import Float32

from myodrive.activation import Activation
from myodrive.errors import SignalError
from myodrive.from_emg.lfads.model import Network
from myodrive.from_emg.lfads.posterior import LAGS_S, posterior_of_mean
from myodrive.recording import Recording


def reconstruct(model: Any, data: Recording | xr.DataArray) -> Activation:
    """As `LFADS.reconstruct`, of one recording by a model of one session."""
    if isinstance(data, xr.DataArray) and "trial" in data.dims:
        raise SignalError("trials are reconstructed one by one.", remedy="Pass data.isel(trial=0) and so on.")
    (trial,) = model._trials(data)
    trial = trial.reindex(muscle=model.muscles_)
    names = {k: c.where(c.notnull(), "") for k, c in trial.coords.items() if c.dims == ("muscle",) and k != "muscle"}
    trial = trial.assign_coords(names)  # of a muscle that was left out: not recognised
    other = copy.copy(model)
    other._dead = ~np.isfinite(trial.values).any(axis=0)
    activation = other._estimate_trial(trial)
    dead = [m for m, gone in zip(model.muscles_, other._dead) if gone]
    if not dead:
        return activation
    dataset = activation.dataset.copy()
    recorded = xr.DataArray(~other._dead, dims="muscle", coords={"muscle": model.muscles_})
    dataset["valid"] = dataset["valid"] & recorded
    note = f"Not recorded, and estimated from the other muscles: {', '.join(dead)}."
    dataset.attrs["notes"] = json.dumps([*activation.notes, note])
    return Activation.from_dataset(dataset)


def spread_unseen(
    networks: Network,
    emg: Float32[np.ndarray, "window step muscle"],
    x: Float32[np.ndarray, "window step feature"],
    present: Float32[np.ndarray, "window step muscle"],
    bin_s: float,
    n_samples: int,
    seed: int,
    muscle: int,
) -> float:
    """By how much the posterior of a muscle of which no sample is seen is too narrow, without knowing the truth.

    The muscle is hidden from held-out windows as a whole. There ``y / estimate − 1`` is the EMG's own noise, which is
    new at each sample, minus the relative error of the estimate, which lasts: the mean product of two of them a short
    lag apart is the variance of the error alone, and its ratio to the claimed one is the square of what is returned.
    """
    seen = present.copy()
    seen[..., muscle] = 0.0
    mean, _, variance = posterior_of_mean(networks, x, seen, jax.random.PRNGKey(seed), n_samples)
    there = present[..., muscle] > 0
    residual = np.where(there, emg[..., muscle] / mean[..., muscle] - 1, 0.0)
    claimed = np.where(there, np.sqrt(variance[..., muscle]), 0.0)
    first, last = (max(1, round(lag / bin_s)) for lag in LAGS_S)
    lags = [lag for lag in range(first, last + 1) if lag < residual.shape[1]]
    found, expected = (sum(np.sum(a[:, k:] * a[:, :-k]) for k in lags) for a in (residual, claimed))
    return float(np.sqrt(max(1.0, found / expected))) if expected > 0 else 1.0
