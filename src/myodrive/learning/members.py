"""Training of a slice of the population, wherever it happens to be: in this process, in another, on another machine."""

from __future__ import annotations

import dataclasses
import functools
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, PyTree

from myodrive.learning.loop import State, Task, run_steps, score

Advance = Callable[[State, Any, Any], tuple[State, dict[str, Array]]]
Score = Callable[[Any, Any, Array], tuple[Array, dict[str, Array]]]


@dataclasses.dataclass(frozen=True)
class Work:
    """What all members learn from; sent to a worker once."""

    task: Any  # a Task; hashable
    training: PyTree
    validation: PyTree
    steps_per_epoch: int


class Slice(NamedTuple):
    """Some members of the population, as arrays (member, …)."""

    state: State
    best: PyTree  # the averaged weights of each that validated best so far
    best_score: Any  # their score, (member,)


class Trained(NamedTuple):
    """A slice after its epochs, and how they went."""

    slice: Any  # a Slice
    rows: list[list[dict[str, float]]]  # the scores of each epoch of each member
    first_s: float  # the first epoch, with the compilation if there was one
    epoch_s: float  # the mean of the others; NaN without any


def train_members(work: Work, members: Slice, hyper: Any, n_epochs: int, together: bool = False) -> Trained:
    """Train every member of a slice for some epochs and score it after each.

    Parameters
    ----------
    hyper : Hyperparameters
        Arrays (member,).
    together : bool
        All members as one batch (`vmap`), spread over the devices: what a GPU wants. Otherwise one after the other by
        one program: on a CPU that is as fast, takes the memory of one, and gives each member the same bits whoever its
        neighbours are.
    """
    if together:
        advance, validate = _batched(work.task, work.steps_per_epoch)
        spread = _spread(len(members.best_score))
        members, hyper = spread(members), spread(hyper)
        return _epochs(advance, validate, work, members, hyper, n_epochs)
    advance, validate = partial(_advance, work.task, work.steps_per_epoch), partial(score, work.task)
    alone = [
        _epochs(advance, validate, work, _row(members, i), _row(hyper, i), n_epochs)
        for i in range(len(members.best_score))
    ]
    return joined([a._replace(slice=jax.tree.map(lambda leaf: leaf[None], a.slice)) for a in alone])


def joined(parts: Sequence[Trained]) -> Trained:
    """Several slices as one."""
    whole = jax.tree.map(lambda *leaves: np.concatenate(leaves), *(p.slice for p in parts))
    later = [p.epoch_s for p in parts if np.isfinite(p.epoch_s)]
    epoch_s = float(np.mean(later)) if later else np.nan
    return Trained(whole, [row for p in parts for row in p.rows], max(p.first_s for p in parts), epoch_s)


def _advance(task: Task, n_steps: int, state: State, hyper: Any, data: PyTree) -> tuple[State, dict[str, Array]]:
    return run_steps(task, state, hyper, data, n_steps)


@functools.lru_cache(maxsize=8)
def _batched(task: Any, n_steps: int) -> tuple[Advance, Score]:
    """The two programs with a leading axis of members; kept, so that a later generation compiles nothing."""
    advance = jax.vmap(partial(_advance, task, n_steps), (0, 0, None))
    return jax.jit(advance), jax.jit(jax.vmap(partial(score, task), (0, None, None)))


def _epochs(advance: Advance, validate: Score, work: Work, members: Slice, hyper: Any, n_epochs: int) -> Trained:
    """The same for one member without and for several with a leading axis."""
    state, best, best_score = members
    key = jax.random.PRNGKey(0)  # the same draws at every epoch and for every member: scores compare
    rows: list[list[dict[str, float]]] = [[] for _ in range(np.size(best_score))]
    seconds = []
    for _ in range(n_epochs):
        start = time.monotonic()
        skipped = state.skipped
        state, terms = advance(state, hyper, work.training)
        now, further = validate(state.average, work.validation, key)
        better = now < best_score  # never true of a score that is not finite
        best = jax.tree.map(lambda new, old, b=better: jnp.where(_as_wide(b, new), new, old), state.average, best)
        best_score = jnp.where(better, now, best_score)
        scores = {"validation": now, "skipped": state.skipped - skipped, **terms, **further}
        for i, row in enumerate(rows):
            row.append({name: float(np.ravel(value)[i]) for name, value in scores.items()})
        seconds.append(time.monotonic() - start)
    later = float(np.mean(seconds[1:])) if seconds[1:] else np.nan
    return Trained(jax.tree.map(np.asarray, Slice(state, best, best_score)), rows, seconds[0], later)


def _as_wide(b: Array, like: Array) -> Array:
    return b.reshape(b.shape + (1,) * (like.ndim - b.ndim))


def _spread(n_member: int) -> Callable[[Any], Any]:
    """Puts the members onto as many of the devices as share them equally."""
    devices = jax.devices()
    n = max(k for k in range(1, len(devices) + 1) if n_member % k == 0)
    mesh = jax.sharding.Mesh(np.array(devices[:n]), ("member",))
    sharding = jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec("member"))
    return lambda tree: jax.device_put(tree, sharding)


def stack(trees: Sequence[Any]) -> Any:
    """Trees of one member each into one with a leading axis, in the memory of this process."""
    return jax.tree.map(lambda *leaves: np.stack([np.asarray(a) for a in leaves]), *trees)


def _row(tree: Any, i: int) -> Any:
    return jax.tree.map(lambda a: a[i], tree)
