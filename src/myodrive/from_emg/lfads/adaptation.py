"""A saved network on a new session: what its electrodes see is learned from a little of it, the dynamics hardly change."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from myodrive.errors import SignalError
from myodrive.from_emg.lfads.choices import score_in_blocks
from myodrive.from_emg.lfads.densities import DENSITIES
from myodrive.from_emg.lfads.model import Linear, Network
from myodrive.from_emg.lfads.problem import Problem, make_problem
from myodrive.trials import Trials

EPOCHS = 15  # of each of the two steps
SLOWER = 0.1  # learning rate of the second step, in which all weights learn, over that of the first


def adapt(
    model: Any,
    data: Trials,
    *,
    mvc: Trials | Sequence[Trials] | None = None,
    epochs: int = EPOCHS,
    minutes: float | None = None,
) -> Any:
    """A copy of a fitted model for a new session, of which there may be little.

    The normalisation, and what else depends on the electrodes, is learned anew. Then the read-in and the read-outs
    learn alone, and after them all weights with a small rate. After each step the likelihood of hidden samples, in parts
    of the new session that it did not learn from, decides whether to keep it: it never gets worse than that of the
    network as it was (`adaptation_` holds the scores, in nats per hidden sample).

    Muscles are found by label. One that the model does not know starts without influence and learns; one that is
    missing is left out.

    Parameters
    ----------
    model : LFADS or a population of them, fitted
    data : Recording, Study or DataArray (time, muscle)
    mvc : optional
        Maximum contractions of the new session, as in `fit`.
    epochs : int
        Of each step.
    minutes : float, optional
        Of training at the most.

    Raises
    ------
    SignalError
        If no muscle has the label of one that the model knows, the recording is too short to hold some of it out, or
        it is rectified and the model learned from raw EMG.
    """
    model._check_fitted()
    options = model.get_params()
    new = type(model)(**options if model.reads_raw_ else {**options, "whiten": False, "unmix": False})
    trials = new._prepared(data, mvc)
    if new.reads_raw_ != model.reads_raw_:
        raise SignalError(
            "the network learned from raw EMG, and this input is rectified already.",
            remedy="Give it raw EMG, or fit the network with whiten=False, unmix=False.",
        )
    known = [m for m in new.muscles_ if m in model.muscles_]
    if not known:
        raise SignalError(
            f"none of the muscles {', '.join(new.muscles_)} was there in training ({', '.join(model.muscles_)}).",
            remedy="Give the channels the labels of the training.",
        )
    for name, value in vars(model).items():
        if name.endswith("_") and not hasattr(new, name):
            setattr(new, name, value)
    new.sessions_ = {}
    window_s, density = model.window_ * model.bin_s_, model.networks_.density
    problem = make_problem(new.config, trials, window_s=window_s, density=density)
    new._keep(problem)
    start = starting_point(model, new, problem)
    n_common = start.read_in.bias.shape[-1]  # type: ignore[union-attr]
    new.sizes_ = {
        **dataclasses.asdict(model._sizes()),
        "n_muscle": len(new.muscles_),
        "n_session": 1,
        "n_common": n_common,
    }
    adapted = [
        _adapted(new, jax.tree.map(lambda a, m=m: a[m], start), problem, epochs, minutes)
        for m in range(len(start.prior_mean))
    ]
    new.networks_ = jax.tree.map(lambda *a: jnp.stack(a), *(net for net, _ in adapted))
    new.adaptation_ = {name: float(np.mean([scores[name] for _, scores in adapted])) for name in adapted[0][1]}
    new._calibrate(problem.held_out)
    return new


def _adapted(
    new: Any, start: Network, problem: Problem, epochs: int, minutes: float | None
) -> tuple[Network, dict[str, float]]:
    """The best of the network as it was, with its own read-in and read-outs, and with all weights changed a little."""
    kept, scores = start, {"as it was": score_in_blocks(start, problem)}
    rate = new.config.learning_rate
    own = dataclasses.replace(problem, task=dataclasses.replace(problem.task, tune="own"))
    for name, what, speed in (("read-in and read-outs", own, rate), ("all weights", problem, SLOWER * rate)):
        trained = new._run(
            what,
            n_epochs=epochs,
            minutes=None if minutes is None else minutes / 2,
            start=kept,
            learning_rate=speed,
        )
        scores[name] = score_in_blocks(trained.weights, problem)
        if scores[name] <= min(scores.values()):
            kept = trained.weights
    return kept, scores


def starting_point(model: Any, new: Any, problem: Problem) -> Network:
    """The networks with a read-in and read-outs for the muscles of the new session, before any of it is learned from."""
    sessions = list(model.sessions_.values()) if getattr(model, "sessions_", None) else [model]
    nets = model.networks_
    n_old, n_member = len(model.muscles_), len(nets.prior_mean)
    read_in = nets.read_in
    if read_in is None:  # what was read as it is goes through the identity now
        identity = jnp.broadcast_to(jnp.eye(3 * n_old), (n_member, 3 * n_old, 3 * n_old))
        read_in = Linear(identity, jnp.zeros((n_member, 3 * n_old)))
    several = read_in.weight.ndim == 4  # (member, session, token, common)
    shares = _shares(model, sessions, several)  # (session, muscle): how the sessions are averaged for each muscle

    def mean_of(a: jax.Array, weights: np.ndarray) -> jax.Array:  # over sessions, along axis 1
        return (a * jnp.asarray(weights, a.dtype)).sum(axis=1) if several else a

    tokens = np.tile(shares, 3)
    weight = mean_of(read_in.weight, tokens[None, :, :, None])
    bias = mean_of(read_in.bias, np.full((1, len(shares), 1), 1 / len(shares)))
    places = [model.muscles_.index(m) if m in model.muscles_ else -1 for m in new.muscles_]
    unknown = np.array([p < 0 for p in places])
    rows = np.concatenate([np.array(places) + k * n_old for k in range(3)])
    weight = jnp.where(np.tile(unknown, 3)[:, None], 0.0, weight[:, rows])
    read_out = {}
    for name, linear in nets.read_out.items():
        slope = mean_of(linear.weight, shares[None, :, None, :])[..., places]
        level = mean_of(linear.bias, shares[None])[..., places]
        null = jnp.asarray(problem.null[list(DENSITIES[nets.density].bounds).index(name)], slope.dtype)
        read_out[name] = Linear(jnp.where(unknown, 0.0, slope), jnp.where(unknown, null, level))
    return dataclasses.replace(nets, read_in=Linear(weight, bias), read_out=read_out)


def _shares(model: Any, sessions: list[Any], several: bool) -> np.ndarray:
    """For each muscle, in equal shares the sessions that recorded it."""
    if not several:
        return np.ones((1, len(model.muscles_)))
    recorded = np.array([[m in s.muscles_ for m in model.muscles_] for s in sessions], dtype=float)
    return recorded / np.maximum(recorded.sum(axis=0), 1.0)
