"""What data can choose: the length of the windows and the kind of density, by the likelihood of hidden samples.

Every candidate is trained for a short time on the same parts of the recording, and scored on the very same samples of
the same blocks that none of them learned from, hidden in the same pattern.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Int

from myodrive.conditioning.windows import window_starts
from myodrive.from_emg.lfads.decoder import decode
from myodrive.from_emg.lfads.densities import DENSITIES
from myodrive.from_emg.lfads.model import NO_DROPOUT, Network, encode, of_session
from myodrive.from_emg.lfads.objective import (
    BLOCKS_IN_VALIDATION,
    DRAWS_IN_VALIDATION,
    HIDDEN_IN_VALIDATION,
    Windows,
    hide,
    take,
)
from myodrive.from_emg.lfads.options import LFADSConfig
from myodrive.from_emg.lfads.problem import LEAST_WINDOW, Problem

WINDOWS_S = (0.2, 0.4, 0.8, 1.6)  # the published length, and longer ones
SHORT_EPOCHS = 12  # of a training that only chooses

Scores = dict[str, float]  # of each candidate: nats per hidden sample, lower is better


def chosen_problem(
    config: LFADSConfig, make: Callable[..., Problem], train: Callable[[Problem], Network]
) -> tuple[Problem, dict[str, Scores]]:
    """The problem with the window and the density asked for, or with those that the data choose.

    Parameters
    ----------
    config : LFADSConfig
    make : callable
        `problem.make_problem` of some recordings: it takes window_s, density and n_block.
    train : callable
        The network that a short training comes to.

    Returns
    -------
    Problem, and for each option that was left to the data the scores of its candidates
    """
    window_s = max(WINDOWS_S) if config.window_s == "auto" else float(config.window_s)
    density: str = "gamma" if config.density == "auto" else config.density
    longest = make(window_s=window_s, density=density)
    n_block = longest.task.n_time

    def problem_of(window_s: float, density: str) -> Problem:
        problem = make(window_s=window_s, density=density, n_block=n_block)
        size = config.batch_size * n_block // problem.task.n_time  # as many samples in a batch
        return dataclasses.replace(problem, task=dataclasses.replace(problem.task, batch_size=size))

    choices: dict[str, Scores] = {}
    if config.window_s == "auto":
        lengths = [w for w in WINDOWS_S if LEAST_WINDOW <= round(w / longest.bin_s) <= n_block]
        window_s, choices["window_s"] = best(lengths, lambda w: problem_of(w, density), train)
    if config.density == "auto":
        density, choices["density"] = best(list(DENSITIES), lambda d: problem_of(window_s, d), train)
    return (problem_of(window_s, density) if choices else longest), choices


def best(
    candidates: list[Any], problem_of: Callable[[Any], Problem], train: Callable[[Problem], Network]
) -> tuple[Any, Scores]:
    """The candidate whose network scores best, and the scores."""
    scores = {}
    for candidate in candidates:
        problem = problem_of(candidate)
        scores[str(candidate)] = score_in_blocks(train(problem), problem)
    return min(candidates, key=lambda c: scores[str(c)] if np.isfinite(scores[str(c)]) else np.inf), scores


def score_in_blocks(net: Network, problem: Problem) -> float:
    """Mean negative log-likelihood of hidden samples in the blocks of validation, cut into windows side by side.

    What is hidden depends on the blocks alone, not on the windows; a sample that two windows have counts in the first.
    """
    window, n_block = problem.task.n_time, problem.n_block
    starts = np.tile(problem.blocks, DRAWS_IN_VALIDATION)
    n_muscle = problem.validation.emg.shape[1]
    key_hide, key_draw = jax.random.split(jax.random.PRNGKey(0))
    shape = (n_block, len(starts), n_muscle)
    hidden = np.asarray(hide(shape, HIDDEN_IN_VALIDATION, BLOCKS_IN_VALIDATION, problem.task.block, key_hide))
    total = count = 0.0
    covered = 0
    for offset in window_starts(n_block, window, 0):
        asked = hidden[offset : offset + window].copy()
        asked[: max(covered - offset, 0)] = False
        args = (net, problem.validation, jnp.asarray(starts + offset, jnp.int32))
        lost, n = _loss(
            *args, jnp.asarray(hidden[offset : offset + window]), jnp.asarray(asked), key_draw, n_time=window
        )
        total, count, covered = total + float(lost), count + float(n), offset + window
    return total / max(count, 1.0)


@partial(jax.jit, static_argnames="n_time")
def _loss(
    net: Network,
    data: Windows,
    starts: Int[Array, " batch"],
    hidden: Bool[Array, "time batch muscle"],
    asked: Bool[Array, "time batch muscle"],
    key: Array,
    n_time: int,
) -> tuple[Array, Array]:
    """Summed negative log-likelihood of what is asked, and of how many samples."""
    batch = take(data, starts, n_time)
    net = net if batch.session is None else of_session(net, batch.session)
    drawn = decode(net, encode(net, batch.x, batch.present * ~hidden, NO_DROPOUT), key, NO_DROPOUT)
    counts = batch.present * asked
    loss = -DENSITIES[net.density].log_likelihood(batch.emg, drawn.parameters)
    return jnp.where(counts > 0, loss, 0.0).sum(), counts.sum()
