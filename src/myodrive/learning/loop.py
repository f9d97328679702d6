"""The training loop that all three routes share: batch → loss terms by name → step → log → checkpoint."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, Protocol, runtime_checkable

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, Int, PyTree, UInt32

from myodrive.learning.checkpoint import load_checkpoint, save_checkpoint

OPTIMISER = optax.chain(optax.clip_by_global_norm(1.0), optax.scale_by_adam())
"""Without a learning rate: that is a hyperparameter, traced and really applied at every step."""

AVERAGE = 0.98  # decay per step of the averaged weights: a run that is cut short has no falling learning rate
LAST_RATE = 0.05
CHECKPOINT_EVERY_S = 20.0


@runtime_checkable
class Hyperparameters(Protocol):
    """A pytree of arrays; the loop itself needs two of them."""

    @property
    def learning_rate(self) -> Any: ...

    @property
    def decay_steps(self) -> Any:
        """Over which the learning rate falls by half a cosine to `LAST_RATE` of itself; infinite for not at all."""

    def _replace(self, *, decay_steps: Any) -> Any: ...  # as a NamedTuple has it


@runtime_checkable
class Task(Protocol):
    """What is to be learned: three pure functions, the same for every member of a population.

    It must be hashable, with equal tasks equal (a frozen dataclass of numbers is): it is a constant of the compiled
    program, and a second run of an equal task on arrays of the same shapes compiles nothing.
    """

    def draw(self, data: Any, key: Any) -> Any:
        """One batch."""

    def loss(self, weights: Any, batch: Any, hyper: Any, key: Any, step: Any) -> Any:
        """The loss, and its terms by name."""

    def validate(self, weights: Any, data: Any, key: Any) -> Any:
        """The score to select by (lower is better), and further scores by name."""


class State(NamedTuple):
    """All that training changes, as arrays: saving it saves the run."""

    weights: PyTree
    average: PyTree  # of the weights over the last steps; what is validated and kept
    optimiser: PyTree  # over all weights as one vector
    key: UInt32[Array, "*member 2"]
    step: Int[Array, "*member"]
    skipped: Int[Array, "*member"]  # steps whose loss or gradient was not finite

    @classmethod
    def start(cls, weights: PyTree, key: UInt32[Array, "2"]) -> State:
        weights = jax.tree.map(lambda w: jnp.asarray(w, w.dtype), weights)  # no weak types: they would compile twice
        zero = jnp.zeros((), jnp.int32)
        return cls(weights, weights, OPTIMISER.init(ravel_pytree(weights)[0]), key, zero, zero)


@partial(jax.jit, static_argnames=("task", "n_steps"))
def run_steps(
    task: Task, state: State, hyper: Hyperparameters, data: PyTree, n_steps: int
) -> tuple[State, dict[str, Array]]:
    """Take some training steps in one scan; the terms of the loss come back averaged over the steps that counted.

    Within it the weights are one vector: the arithmetic of a step, written out for every array of a network, takes
    longer to compile than the loss does.
    """
    weights, as_tree = ravel_pytree(state.weights)
    flat = state._replace(weights=weights, average=ravel_pytree(state.average)[0])
    flat, terms = jax.lax.scan(lambda s, _: _step(task, as_tree, s, hyper, data), flat, length=n_steps)
    state = flat._replace(weights=as_tree(flat.weights), average=as_tree(flat.average))
    return state, {name: jnp.nanmean(jnp.where(jnp.isfinite(v), v, jnp.nan)) for name, v in terms.items()}


def _step(
    task: Task, as_tree: Callable[[Array], PyTree], state: State, hyper: Hyperparameters, data: PyTree
) -> tuple[State, dict[str, Array]]:
    key, key_batch, key_loss = jax.random.split(state.key, 3)
    batch = task.draw(data, key_batch)
    loss = jax.value_and_grad(task.loss, has_aux=True)
    (total, terms), slopes = loss(as_tree(state.weights), batch, hyper, key_loss, state.step)
    gradient, _ = ravel_pytree(slopes)
    finite = jnp.isfinite(total + jnp.sum(gradient))
    change, optimiser = OPTIMISER.update(gradient, state.optimiser)
    fall = 0.5 + 0.5 * jnp.cos(jnp.pi * jnp.minimum(state.step / hyper.decay_steps, 1.0))
    rate = hyper.learning_rate * (LAST_RATE + (1 - LAST_RATE) * fall)
    weights = state.weights - rate * change
    decay = jnp.minimum(AVERAGE, (1.0 + state.step) / (10.0 + state.step))
    average = decay * state.average + (1 - decay) * weights
    old = (state.weights, state.average, state.optimiser)
    kept = jax.tree.map(lambda new, before: jnp.where(finite, new, before), (weights, average, optimiser), old)
    return State(kept[0], kept[1], kept[2], key, state.step + 1, state.skipped + ~finite), {"loss": total, **terms}


@partial(jax.jit, static_argnames="task")
def score(task: Task, weights: PyTree, data: PyTree, key: Array) -> tuple[Array, dict[str, Array]]:
    """What `Task.validate` gives, compiled once for all equal tasks."""
    return task.validate(weights, data, key)


@dataclasses.dataclass(frozen=True)
class LoopOptions:
    """How long to train."""

    n_epochs: int
    steps_per_epoch: int
    patience: int  # epochs without a better validation score before stopping
    earliest_stop: int = 0  # epoch before which patience does not count: the ramps must be over
    minutes: float | None = None  # of training; the best so far is kept when they are over
    checkpoint: Path | None = None  # file that the run is saved to, and resumed from


@dataclasses.dataclass(frozen=True)
class Progress:
    """What a progress callback is told after each epoch."""

    epoch: int
    n_epochs: int
    elapsed_s: float
    remaining_s: float  # at the most: training may stop earlier
    scores: dict[str, float]
    best: float


@dataclasses.dataclass
class Trained:
    """The best weights, and how the training went: one row of scores for each epoch."""

    weights: PyTree
    history: list[dict[str, float]]
    best_epoch: int
    skipped: int
    stopped: str  # "epochs", "patience" or "minutes"


def train(
    task: Task,
    state: State,
    hyper: Hyperparameters,
    training: PyTree,
    validation: PyTree,
    options: LoopOptions,
    *,
    progress: Callable[[Progress], None] | None = None,
    fingerprint: str = "",
) -> Trained:
    """Train until the epochs, the patience or the minutes are over; keep the averaged weights that validate best.

    A checkpoint is written every few seconds and on Ctrl-C; a run started again with the same `fingerprint` (of
    configuration and data) goes on from there to the same bits.
    """
    key_validation = jax.random.PRNGKey(0)  # the same draws at every epoch and for every member: scores compare
    now = _resumed(options, fingerprint, _Run(state, state.average, []))
    saved_at = time.monotonic()
    started_at = saved_at - (now.history[-1]["seconds"] if now.history else 0.0)
    stopped = _why_stop(now.history, options)
    try:
        while not stopped:
            paced = _paced(hyper, now.history, options)
            state, terms = run_steps(task, now.state, paced, training, options.steps_per_epoch)
            validated, scores = score(task, state.average, validation, key_validation)
            row = {"epoch": len(now.history), "validation": validated, "skipped": state.skipped, **terms, **scores}
            row["seconds"] = time.monotonic() - started_at
            history = [*now.history, {name: float(value) for name, value in row.items()}]
            better = _best(history) is history[-1]
            # One assignment: Ctrl-C may come anywhere.
            now = _Run(state, state.average if better else now.best, history)
            stopped = _why_stop(history, options)
            if progress:
                progress(_progress(history, options))
            if stopped or time.monotonic() - saved_at > CHECKPOINT_EVERY_S:
                _save(options, fingerprint, now)
                saved_at = time.monotonic()
    except KeyboardInterrupt:
        _save(options, fingerprint, now)
        raise
    return Trained(now.best, now.history, int(_best(now.history)["epoch"]), int(now.state.skipped), stopped)


class _Run(NamedTuple):
    state: State
    best: PyTree
    history: list[dict[str, float]]


def _save(options: LoopOptions, fingerprint: str, run: _Run) -> None:
    if options.checkpoint:
        save_checkpoint(options.checkpoint, (run.state, run.best), {"history": run.history}, fingerprint)


def _resumed(options: LoopOptions, fingerprint: str, start: _Run) -> _Run:
    """The saved run, if there is one of the same configuration and data."""
    like = (start.state, start.best)
    found = load_checkpoint(options.checkpoint, like, fingerprint) if options.checkpoint else None
    if found is None:
        return start
    (state, best), values = found
    return _Run(state, best, values["history"])


def _best(history: list[dict[str, float]]) -> dict[str, float]:
    """The first row with the lowest validation score; scores that are not finite come last."""
    return min(history, key=lambda row: row["validation"] if np.isfinite(row["validation"]) else np.inf)


def _why_stop(history: list[dict[str, float]], options: LoopOptions) -> str:
    """The reason to stop now, or nothing."""
    if not history:
        return ""
    if len(history) >= options.n_epochs:
        return "epochs"
    if options.minutes is not None and history[-1]["seconds"] >= 60 * options.minutes:
        return "minutes"
    waited = len(history) - 1 - max(_best(history)["epoch"], options.earliest_stop)
    return "patience" if waited >= options.patience else ""


def _paced(hyper: Hyperparameters, history: list[dict[str, float]], options: LoopOptions) -> Any:
    """With a limit of minutes the learning rate falls over as many steps as they will allow."""
    if options.minutes is None or len(history) < 2:
        return hyper
    compiled = history[0]["seconds"]
    used = (history[-1]["seconds"] - compiled) / max(60 * options.minutes - compiled, 1e-9)
    allowed = (len(history) - 1) * options.steps_per_epoch / max(used, 1e-9)
    return hyper._replace(decay_steps=jnp.minimum(hyper.decay_steps, jnp.float32(allowed)))


def _progress(history: list[dict[str, float]], options: LoopOptions) -> Progress:
    elapsed = history[-1]["seconds"]
    # The first epoch has the compilation in it.
    later = (elapsed - history[0]["seconds"]) / (len(history) - 1) if len(history) > 1 else elapsed
    remaining = later * (options.n_epochs - len(history))
    if options.minutes is not None:
        remaining = min(remaining, max(60 * options.minutes - elapsed, 0.0))
    best = _best(history)["validation"]
    return Progress(len(history), options.n_epochs, elapsed, remaining, history[-1], best)
