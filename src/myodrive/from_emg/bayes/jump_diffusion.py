"""The jump-diffusion model of a level: its exact transition, the messages of the past and the future, its parameters."""

from __future__ import annotations

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import xarray as xr
from jaxtyping import Array, Bool, Float, Int

from myodrive.recording import gap_free_runs

STEP_S = 0.01  # of the filter: 20 samples at 2 kHz are one observation; the published code takes up to 40
HIDDEN_S = 0.03  # from centre to centre: what lies nearer to a step is hidden from the prediction of it (docs/bayes.md)
FIT_CHUNK, FIT_CHUNKS = 1000, 6  # of more data than six stretches of 10 s the parameters are chosen on six of them
LENGTH_UNIT = 1000  # sequences are padded to whole multiples, so that few lengths are ever compiled
RANGE = 1e-4  # of the lowest level to the highest, at the least: 80 dB
# A level that the data have ruled out keeps this probability, so that float32 never divides by zero.
SMALLEST = 1e-20
# Steps within about one interval between the discharges of a motor unit (20 per second) tell the same thing, so each
# counts as a fifth of an observation. Held-out likelihood does not decide this: it is flat along weight × diffusion.
WEIGHT = STEP_S / 0.05
PARAMETERS = ("diffusion", "jump", "shape")
START = {"diffusion": 4.0, "jump": 0.1, "shape": 20.0}
FACTORS = (4.0, 2.0, 2.0, 1.4)  # by which one parameter after the other is raised or lowered, round by round


@dataclasses.dataclass(frozen=True)
class Blocks:
    """Observations of all muscles, the gap-free stretches of each laid end to end."""

    y: Float[np.ndarray, "block muscle"]  # mean of |x|^power
    filled: Float[np.ndarray, "block muscle"]  # part of the step that has samples: 1, less at the end of a stretch, 0
    stretch: Int[np.ndarray, "block muscle"]  # which stretch of the muscle the step belongs to
    places: list[tuple[int, slice, int]]  # muscle, samples, first block of each stretch of the last trial
    step: int  # samples

    @classmethod
    def cut(cls, trials: list[xr.DataArray], amplitudes: list[np.ndarray], step: int, power: int) -> Blocks:
        """Cut every gap-free stretch of every muscle of every trial into steps, from its own start."""
        n_muscle = trials[0].sizes["muscle"]
        columns: list[list[tuple[np.ndarray, np.ndarray]]] = [[] for _ in range(n_muscle)]
        used = [0] * n_muscle
        places: list[tuple[int, slice, int]] = []
        for trial, amplitude in zip(trials, amplitudes):
            places = []
            for muscle in range(n_muscle):
                for run in gap_free_runs(trial.time.values, np.isfinite(amplitude[:, muscle])):
                    values = amplitude[run, muscle] ** power
                    edges = np.arange(0, values.size, step)
                    counts = np.diff(np.r_[edges, values.size])
                    columns[muscle].append((np.add.reduceat(values, edges) / counts, counts / step))
                    places.append((muscle, run, used[muscle]))
                    used[muscle] += edges.size
        n_block = -(-max(*used, 1) // LENGTH_UNIT) * LENGTH_UNIT
        y, filled = np.ones((n_block, n_muscle)), np.zeros((n_block, n_muscle))
        stretch = np.full((n_block, n_muscle), -1)
        for muscle, column in enumerate(columns):
            for i, (means, parts) in enumerate(column):
                start = sum(m.size for m, _ in column[:i])
                here = slice(start, start + means.size)
                y[here, muscle], filled[here, muscle], stretch[here, muscle] = means, parts, i
        return cls(y, filled, stretch, places, step)

    @property
    def first(self) -> Bool[np.ndarray, "block muscle"]:
        """Where a stretch begins, and nothing is known."""
        return np.diff(self.stretch, axis=0, prepend=-2) != 0

    def thinned(self) -> Blocks:
        """A few evenly spaced chunks, if there are more; each then is a stretch of its own."""
        n_chunks = len(self.y) // FIT_CHUNK
        if n_chunks <= FIT_CHUNKS:
            return self
        starts = FIT_CHUNK * np.unique(np.linspace(0, n_chunks - 1, FIT_CHUNKS).round().astype(int))
        rows = (starts[:, None] + np.arange(FIT_CHUNK)).ravel()
        apart = self.stretch[rows] + np.repeat(np.arange(starts.size), FIT_CHUNK)[:, None] * (self.stretch.max() + 1)
        return dataclasses.replace(self, y=self.y[rows], filled=self.filled[rows], stretch=apart, places=[])

    def on_samples(
        self, values: Float[np.ndarray, "block muscle"], trial: xr.DataArray, *, causal: bool
    ) -> Float[np.ndarray, "time muscle"]:
        """Values of the steps on the samples of the trial: linear between the steps' centres, or held from their end."""
        result = np.full(trial.shape, np.nan)
        for muscle, run, start in self.places:
            n_sample = run.stop - run.start
            n_block = -(-n_sample // self.step)
            own, sample = values[start : start + n_block, muscle], np.arange(n_sample)
            if causal:
                complete = (sample + 1) // self.step
                result[run, muscle] = np.where(complete > 0, own[np.maximum(complete - 1, 0)], np.nan)
            else:
                edges = np.r_[np.arange(n_block) * self.step, n_sample]
                result[run, muscle] = np.interp(sample, (edges[:-1] + edges[1:] - 1) / 2, own)
        return result


@dataclasses.dataclass(frozen=True)
class Model:
    """Steps and evidence of all muscles; a column is a muscle, or a muscle with one candidate for its parameters."""

    transition: Float[np.ndarray, "column level level"]
    ahead: Float[np.ndarray, "column level level"]  # the transition over the steps that a prediction leaves out
    grid: Float[np.ndarray, "column level"]  # power × log level
    shape: Float[np.ndarray, " column"]

    @classmethod
    def of(
        cls, parameters: dict[str, np.ndarray], levels: np.ndarray, power: int, step_s: float, steps: int = 1
    ) -> Model:
        diffusion, jump, shape = (parameters[name] for name in PARAMETERS)
        one, many = (transition(diffusion, jump, levels, n * step_s) for n in (1, steps))
        return cls(one, many, power * levels, shape)

    def messages(self, blocks: Blocks) -> tuple[np.ndarray, np.ndarray]:
        """What the past with the present, and the present with the future, say of the level: (block, column, level)."""
        strength = blocks.filled * np.nan_to_num(self.shape * WEIGHT)
        forward, backward = _messages(*map(_single, (self.transition, self.grid, blocks.y, strength)), blocks.first)
        return np.asarray(forward), np.asarray(backward)

    def smoothed(self, past: np.ndarray, future: np.ndarray, blocks: Blocks) -> Float[np.ndarray, "block column level"]:
        """The posterior given everything: the future with the present, times what the past alone predicts."""
        predicted = _step_on(self.transition, past, blocks.stretch, 1)
        return _normalised(predicted * future)

    def held_out(self, blocks: Blocks, steps: int) -> Float[np.ndarray, " column"]:
        """Mean log density of a whole step given all that lies at least `steps` steps away, on either side."""
        past, future = self.messages(blocks)
        before = _step_on(self.ahead, past, blocks.stretch, steps)
        after = _step_on(self.ahead, future[::-1], blocks.stretch[::-1], steps)[::-1]
        score = _log_density(
            *map(_single, (self.grid, np.nan_to_num(self.shape, nan=1.0), blocks.y)), _normalised(before * after)
        )
        return np.sum(np.where(blocks.filled == 1, score, 0), axis=0) / np.maximum((blocks.filled == 1).sum(axis=0), 1)


def transition(
    diffusion: Float[np.ndarray, " column"],
    jump: Float[np.ndarray, " column"],
    levels: Float[np.ndarray, "column level"],
    step_s: float,
) -> Float[np.ndarray, "column level level"]:
    """The exact transition over `step_s`: the exponential of diffusion with reflecting ends, mixed with jumps.

    The generator of a walk on a chain with reflecting ends is diagonal in the cosines, with the eigenvalues
    ``2 (cos(πk/L) − 1)``, so no step is too long and no diffusion too fast.
    """
    n = levels.shape[1]
    k = np.arange(n)
    cosines = np.cos(np.pi * np.outer(k + 0.5, k) / n) * np.where(k == 0, 1, np.sqrt(2)) / np.sqrt(n)
    spacing = np.ptp(levels, axis=1) / (n - 1)
    rate = np.nan_to_num(0.5 * diffusion / spacing**2)
    decay = np.exp(np.multiply.outer(rate * step_s, 2 * (np.cos(np.pi * k / n) - 1)))
    walk = np.maximum(np.einsum("ik,ck,jk->cij", cosines, decay, cosines, optimize=True), 0.0)
    walk /= walk.sum(axis=2, keepdims=True)
    jumped = np.maximum(-np.expm1(-np.nan_to_num(jump) * step_s), SMALLEST)[:, None, None]
    return (1 - jumped) * walk + jumped / n


def log_levels(blocks: Blocks, power: int, n_levels: int) -> Float[np.ndarray, "muscle level"]:
    """Levels evenly spaced in the logarithm, from half of the lowest to twice the highest step of each muscle.

    But never over more than 80 dB: a disconnected input is not a low level.
    """
    levels = np.full((blocks.y.shape[1], n_levels), np.nan)
    for muscle in range(len(levels)):
        seen = blocks.y[(blocks.filled[:, muscle] > 0) & (blocks.y[:, muscle] > 0), muscle] ** (1 / power)
        if seen.size:
            highest = 2 * seen.max()
            lowest = max(0.5 * np.quantile(seen, 0.001), RANGE * highest)
            levels[muscle] = np.linspace(np.log(lowest), np.log(highest), n_levels)
    return levels


def choose(
    blocks: Blocks, levels: Float[np.ndarray, "muscle level"], power: int, hidden: int, given: dict[str, float]
) -> tuple[dict[str, Float[np.ndarray, " muscle"]], Float[np.ndarray, " muscle"]]:
    """The parameters of each muscle that make held-out steps most likely, one after the other, by smaller and smaller factors."""
    n_muscle = len(levels)
    there = np.isfinite(levels).all(axis=1)
    twice = dataclasses.replace(
        blocks, y=np.tile(blocks.y, 2), filled=np.tile(blocks.filled, 2), stretch=np.tile(blocks.stretch, 2)
    )

    def score(candidates: dict[str, np.ndarray]) -> np.ndarray:
        model = Model.of(candidates, np.tile(levels, (2, 1)), power, STEP_S, hidden)
        return model.held_out(twice, hidden).reshape(2, n_muscle)

    best = {name: np.full(n_muscle, float(given.get(name, START[name]))) for name in PARAMETERS}
    reached = score({name: np.tile(value, 2) for name, value in best.items()})[0]
    for factor in FACTORS:
        for name in (n for n in PARAMETERS if n not in given):
            tried = {n: np.tile(value, 2) for n, value in best.items()}
            tried[name] = np.r_[best[name] * factor, best[name] / factor]
            scores = score(tried)
            better = np.argmax(scores, axis=0)
            improved = scores.max(axis=0) > reached
            best[name] = np.where(improved, tried[name].reshape(2, n_muscle)[better, np.arange(n_muscle)], best[name])
            reached = np.where(improved, scores.max(axis=0), reached)
    return {name: np.where(there, value, np.nan) for name, value in best.items()}, np.where(there, reached, np.nan)


def mean_level(
    posterior: Float[np.ndarray, "block muscle level"], levels: Float[np.ndarray, "muscle level"]
) -> Float[np.ndarray, "block muscle"]:
    """Posterior mean of the level."""
    return np.einsum("bml,ml->bm", posterior, np.exp(levels))


def quantiles(
    posterior: Float[np.ndarray, "block muscle level"],
    levels: Float[np.ndarray, "muscle level"],
    probabilities: tuple[float, float],
) -> list[Float[np.ndarray, "block muscle"]]:
    """Quantiles of the level, each level being the middle of a cell that its probability is spread over evenly."""
    spacing = (levels[:, 1] - levels[:, 0])[None]
    below = np.cumsum(posterior, axis=2)
    found = []
    for probability in probabilities:
        cell = np.minimum(np.sum(below < probability, axis=2), levels.shape[1] - 1)[..., None]
        inside = np.take_along_axis(posterior, cell, axis=2)[..., 0]
        missing = np.take_along_axis(below, cell, axis=2)[..., 0] - probability
        part = np.clip(1 - missing / np.maximum(inside, SMALLEST), 0, 1)
        middle = np.take_along_axis(levels[None], cell, axis=2)[..., 0]
        found.append(np.exp(middle + (part - 0.5) * spacing))
    return found


def _single(values: np.ndarray) -> Float[np.ndarray, "..."]:
    return np.nan_to_num(values).astype(np.float32)


def _normalised(weights: np.ndarray) -> Float[np.ndarray, "..."]:
    weights = np.maximum(weights, SMALLEST)
    return weights / weights.sum(axis=-1, keepdims=True)


def _step_on(matrix: np.ndarray, message: np.ndarray, stretch: np.ndarray, steps: int) -> np.ndarray:
    """A message carried on by `steps` blocks; even over the levels where that leaves the stretch."""
    n_level = matrix.shape[-1]
    carried = np.full(message.shape, 1 / n_level, dtype=np.float32)
    moved = np.asarray(_apply(_single(matrix), message[:-steps]))
    same = stretch[steps:] == stretch[:-steps]
    carried[steps:] = np.where(same[..., None], moved, carried[steps:])
    return carried


@jax.jit
def _apply(matrix: Array, message: Array) -> Array:
    return jnp.einsum("cij,bcj->bci", matrix, message)


@jax.jit
def _messages(transition: Array, grid: Array, y: Array, strength: Array, first: Array) -> tuple[Array, Array]:
    """One scan forward and one backward over all columns; both start even over the levels in every stretch."""
    evidence = -strength[..., None] * (grid + y[..., None] * jnp.exp(-grid))  # (block, column, level)
    evidence = jnp.exp(evidence - evidence.max(axis=-1, keepdims=True))
    even = jnp.full(grid.shape, 1 / grid.shape[1])

    def step(belief: Array, now: tuple[Array, Array]) -> tuple[Array, Array]:
        seen, new = now
        predicted = jnp.where(new[:, None], even, jnp.einsum("cij,cj->ci", transition, belief))
        belief = predicted * seen + SMALLEST
        belief = belief / belief.sum(axis=-1, keepdims=True)
        return belief, belief

    last = jnp.concatenate([first[1:], jnp.ones_like(first[:1])])
    _, forward = jax.lax.scan(step, even, (evidence, first))
    _, backward = jax.lax.scan(step, even, (evidence, last), reverse=True)
    return forward, backward


@jax.jit
def _log_density(grid: Array, shape: Array, y: Array, weights: Array) -> Array:
    """Log of the mean over the levels, with these weights, of the gamma density of y^… (block, column)."""
    k = shape[:, None]
    y = jnp.maximum(y, 1e-3 * jnp.exp(grid[:, 0]))  # rectified EMG has exact zeros, where the density has none
    each = -k * (grid + y[..., None] * jnp.exp(-grid))
    top = each.max(axis=-1)
    mixed = jnp.log(jnp.sum(weights * jnp.exp(each - top[..., None]), axis=-1))
    constant = shape * jnp.log(shape) - jax.scipy.special.gammaln(shape)
    return constant + (shape - 1) * jnp.log(y) + top + mixed
