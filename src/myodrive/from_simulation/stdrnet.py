"""STDRNet: simulated activity refined towards measured EMG by a recurrent network with attention."""

from __future__ import annotations

import dataclasses
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool, Float
from pydantic import Field
from scipy.interpolate import make_interp_spline

from myodrive.conditioning.movements import PERIOD_S, find_period
from myodrive.estimator import Context, Estimate
from myodrive.from_simulation.corrections import Correction, CorrectionConfig, apply_gains, fit_gains, lags_within
from myodrive.from_simulation.seq2seq import SMALLEST, Hyper, Seq2Seq, Seq2SeqTask, Sizes, Windows, decode
from myodrive.learning.calibration import calibrated, moments
from myodrive.learning.checkpoint import arrays_to_tree, tree_to_arrays
from myodrive.learning.loop import LoopOptions, State, train
from myodrive.learning.processes import side_by_side
from myodrive.paired import Hidden, Stretch, make_folds, training

STEPS_PER_S, STEPS = 20, (400, 3000)
NOISE_ROOT_S, NOISE = 0.7, (0.03, 0.2)
# What is expected of the share of the network before any fold was seen: half, as of a mean of two; and how firmly.
SHARE, SHARE_SD, FOLD_SD = 0.5, 0.25, 0.05
PACE_REACH = 2.0  # standard deviations of the training trials: the network knows nothing beyond them
FORCED_SHARE = 0.5  # of the training, over which teacher forcing falls from always to never


class STDRNetConfig(CorrectionConfig):
    """Options of `STDRNet`. Sizes and training are our own choice: those of the published network are not known."""

    with_angles: bool = False  # joint angles beside the simulated activity
    # Mix the network with each muscle's own simulated activity at one gain, offset and lag, which go past it. Without it a
    # network that has seen ten seconds of other people does not keep what the simulation knows.
    skip: bool = True
    n_unit: int = Field(default=32, gt=0)  # of each recurrence and of the attention
    step_s: float = Field(default=0.02, gt=0)  # of the network: an envelope at 6 Hz has nothing between
    window_s: float = Field(default=2.0, gt=0)  # that a cycle or two are in it; the longest trial where that is shorter
    reach_s: float = Field(default=0.2, ge=0)  # of the attention to either side: times correspond but for a lag
    n_folds: int = Field(default=5, ge=2)  # networks, each learned without one fold
    # Of training for each network; never fewer, so no fold is used to stop. Without one 20 for each second of the training
    # trials, but between 400 and 3000.
    n_steps: int | None = Field(default=None, gt=0)
    batch_size: int = Field(default=16, gt=0)
    learning_rate: float = Field(default=3e-3, gt=0)
    weight_decay: float = Field(default=1e-5, ge=0)
    # Standard deviation of what is added to the standardised inputs in training, and share of what the attention looks at
    # that is dropped. Without one .2 up to 12 s of training trials, then falling with the root of their duration to .03.
    noise: float | None = Field(default=None, ge=0, lt=1)
    interval_level: float = Field(default=0.9, gt=0, lt=1)
    seed: int = 0


class STDRNet(Correction):
    """Spatio-temporal refinement of simulated activity: sequence to sequence with attention, all muscles together.

    A bidirectional recurrence reads all simulated channels and, beside them, how many cycles a second the whole trial has:
    electromechanical delays change with speed, and a window does not tell it well enough. Additive attention looks at what
    lies within ±`reach_s` of a step, and a recurrent decoder, fed its own last value, gives mean and scale of every
    muscle's envelope. It runs on windows that overlap by half. Past the network goes each muscle's own simulated activity
    at one gain, offset and lag (`skip`), and the two are mixed.

    One network is learned without each fold of the training data (subjects, trials, or blocks of one trial), for a number
    of steps that is set beforehand, and the estimate is the mean of all. What each says of its own fold decides for each
    muscle the share of the network (`share_`, from 0 to 1), moves all muscles by what comes late at a pace (`late_`), and
    scales the interval such that it holds the stated share of those samples.

    References
    ----------
    Teramae T et al. (2025) Front Bioeng Biotechnol 13, 10.3389/fbioe.2025.1611414 (the idea; sizes not published).
    Bahdanau D, Cho K, Bengio Y (2015), 10.48550/arXiv.1409.0473 (additive attention).
    """

    method = "stdr-net"
    Config = STDRNetConfig
    config: STDRNetConfig
    references = (
        "Teramae T et al. (2025) Front Bioeng Biotechnol 13. doi:10.3389/fbioe.2025.1611414",
        "Bahdanau D, Cho K, Bengio Y (2015) ICLR. doi:10.48550/arXiv.1409.0473",
    )
    always: ClassVar[tuple[str, ...]] = ("simulated",)
    centre_: np.ndarray  # (channel,) and `spread_`, of the inputs
    spread_: np.ndarray
    pace_: np.ndarray  # mean and standard deviation of the cycles per second of training trials; 0 where none differ
    size_: np.ndarray  # (muscle,) standard deviation of the training targets
    level_: np.ndarray  # (network, muscle) mean of what each was taught, to which its output is added
    gains_: np.ndarray  # (network, muscle, [gain, offset, lag in samples]) of what goes past each network
    share_: np.ndarray  # (muscle,) of the networks in the mixture
    late_: np.ndarray  # samples by which held-out estimates were late at the mean pace, and more with a deviation of it
    conformal_: np.ndarray  # (muscle,) half-width of the interval in units of the predicted scale

    @property
    def signals(self) -> tuple[str, ...]:  # type: ignore[override]  # which are read is an option here
        return (*self.always, "angles") if self.config.with_angles else self.always

    # -- learning ----------------------------------------------------------------------------------------------------

    def _fit_stretches(self, stretches: list[Stretch]) -> None:
        self.centre_, self.spread_ = moments(np.concatenate([s.inputs for s in stretches]))
        wanted = np.concatenate([s.targets for s in stretches])
        self.size_ = moments(wanted)[1]
        paces = [pace for pace in map(self._pace, stretches) if pace]
        self.pace_ = np.array([np.mean(paces), np.std(paces)]) if len(set(paces)) > 1 else np.zeros(2)
        self._settle(stretches)
        folds = make_folds(stretches, self.config.n_folds)
        keys = jax.random.split(jax.random.PRNGKey(self.config.seed), len(folds))
        taught = [training(stretches, fold) for fold in folds]
        self.level_ = np.stack([moments(np.concatenate([s.targets for s in some]))[0] for some in taught])
        self.gains_ = np.stack([self._past(some) for some in taught])
        rest = [[dataclasses.replace(s, targets=s.targets - level) for s in stretches] for level in self.level_]
        self.networks_ = side_by_side(self._learned, rest, folds, keys)
        left = np.full((3, *wanted.shape), np.nan)  # of held-out samples: what goes past, the network's mean and scale
        held = [np.concatenate(fold.test) for fold in folds]
        for k, (fold, test) in enumerate(zip(folds, held)):
            parts = [
                self._parts(k, s) if own.any() else np.full((3, *s.targets.shape), np.nan)
                for s, own in zip(stretches, fold.test)
            ]
            left[:, test] = np.concatenate(parts, axis=1)[:, test]
        self.share_ = _shares(wanted - left[0], left[1] - left[0], held)
        mean = left[0] + self.share_ * (left[1] - left[0])
        each = np.split(mean, np.cumsum([s.time.size for s in stretches])[:-1])
        self.late_ = self._lateness(stretches, each)
        mean = np.concatenate([self._on_time(s, e) for s, e in zip(stretches, each)])
        self.conformal_ = calibrated(np.abs(wanted - mean) / left[2], self.config.interval_level)
        self._left = np.maximum(mean, 0.0)

    def _settle(self, stretches: list[Stretch]) -> None:
        """What the amount of data decides: steps of training, noise, and the length of a window."""
        duration_s = sum(map(len, (s.time for s in stretches))) / self.config.rate_hz
        longest_s = max(len(s.time) for s in stretches) / self.config.rate_hz
        chosen = self.config.n_steps, self.config.noise
        self.n_steps_ = int(np.clip(STEPS_PER_S * duration_s, *STEPS)) if chosen[0] is None else chosen[0]
        self.noise_ = float(np.clip(NOISE_ROOT_S / np.sqrt(duration_s), *NOISE)) if chosen[1] is None else chosen[1]
        self.window_s_ = min(self.config.window_s, longest_s)

    def _past(self, stretches: list[Stretch]) -> Float[np.ndarray, "muscle 3"]:
        """What goes past a network: gain, offset and lag of each muscle; without its simulated activity, its mean."""
        lags = lags_within(self.config.reach_s, self.config.rate_hz)
        gains = fit_gains([self._own(s) for s in stretches], stretches, lags)
        alone = ~np.isfinite(gains).all(axis=1) | (not self.config.skip)
        gains[alone] = 0.0
        gains[alone, 1] = moments(np.concatenate([s.targets for s in stretches]))[0][alone]
        return gains

    def _held_out(self, stretches: list[Stretch], folds: list[Hidden]) -> list[np.ndarray]:
        """What the network of each fold said of it when they were fitted: nothing needs to be learned again."""
        return np.split(self._left, np.cumsum([s.time.size for s in stretches])[:-1])

    def _lateness(self, stretches: list[Stretch], estimates: list[np.ndarray]) -> Float[np.ndarray, "2"]:
        """By how many samples held-out estimates come late at the mean pace, and how many more at a standard deviation above.

        By least squares over all muscles: what comes a little late misses by as much of its slope.
        """
        if not self.pace_[1] > 0:
            return np.zeros(2)
        slopes = [np.gradient(e, axis=0) / self.size_ for e in estimates]
        missed = np.concatenate([(s.targets - e) / self.size_ for s, e in zip(stretches, estimates)])
        by_pace = np.concatenate([self._told(s) * slope for s, slope in zip(stretches, slopes)])
        terms = np.stack([np.concatenate(slopes), by_pace], axis=-1)
        known = np.isfinite(missed) & np.isfinite(terms).all(axis=-1)
        found: np.ndarray = np.linalg.lstsq(terms[known], missed[known])[0]
        return found

    def _on_time(
        self, stretch: Stretch, estimate: Float[np.ndarray, "time muscle"]
    ) -> Float[np.ndarray, "time muscle"]:
        """The estimate without what held-out ones of its pace came late."""
        late = self.late_ @ [1.0, self._told(stretch)]
        return estimate + np.nan_to_num(late * np.gradient(estimate, axis=0))

    def _learned(self, rest: list[Stretch], fold: Hidden, key: jax.Array) -> Seq2Seq:
        """A network for what is left of the targets."""
        c, q = self.config, self._every
        coarse = [self._coarse(s) for s in rest]
        task = Seq2SeqTask(self._n_window, c.batch_size)
        windows = self._windows(coarse, [t[::q] for t in fold.train])
        n_steps = self.n_steps_
        given = (c.learning_rate, n_steps, c.weight_decay, self.noise_, FORCED_SHARE * n_steps)
        hyper = Hyper(*(jnp.float32(v) for v in given))
        key_start, key_train = jax.random.split(key)
        state = State.start(Seq2Seq.create(self._sizes, key_start), key_train)
        options = LoopOptions(n_epochs=1, steps_per_epoch=n_steps, patience=1)
        network: Seq2Seq = train(task, state, hyper, windows, windows, options).weights
        return network

    def _windows(self, coarse: list[Stretch], train: list[Bool[np.ndarray, " _time"]]) -> Windows:
        n_window = self._n_window
        longest = max(n_window, *(s.time.size for s in coarse))

        def stacked(arrays: list[np.ndarray]) -> np.ndarray:
            return np.stack([np.pad(a, ((0, longest - len(a)), *((0, 0),) * (a.ndim - 1))) for a in arrays])

        known = stacked([np.isfinite(s.targets) & t[:, None] for s, t in zip(coarse, train)])
        place = np.array([(i, a) for i, s in enumerate(coarse) for a in range(max(s.time.size - n_window, 0) + 1)])
        share = np.array([known[i, a : a + n_window].sum() for i, a in place], dtype=np.float64)
        return Windows(
            jnp.asarray(stacked([s.inputs for s in coarse]), jnp.float32),
            jnp.asarray(np.where(known, np.nan_to_num(stacked([s.targets for s in coarse])), 0.0), jnp.float32),
            jnp.asarray(known),
            jnp.asarray(stacked([np.ones(s.time.size, dtype=bool) for s in coarse])),
            jnp.asarray(place, jnp.int32),
            jnp.asarray(np.cumsum(share) / share.sum(), jnp.float32),
        )

    # -- estimating --------------------------------------------------------------------------------------------------

    def _estimate_stretch(self, stretch: Stretch) -> Estimate:
        parts = np.stack([self._parts(k, stretch) for k in range(len(self.networks_))])
        each = parts[:, 0] + self.share_ * (parts[:, 1] - parts[:, 0])  # (network, time, muscle)
        mean = each.mean(axis=0)
        half = self.conformal_ * np.sqrt((parts[:, 2] ** 2 + (each - mean) ** 2).mean(axis=0))
        mean = self._on_time(stretch, mean)
        mean[:, np.isnan(self.conformal_)] = np.nan  # never measured
        return Estimate(*(np.maximum(v, 0.0) for v in (mean, mean - half, mean + half)))

    def _parts(self, k: int, stretch: Stretch) -> Float[np.ndarray, "3 time muscle"]:
        """What goes past a network, and its own mean and scale."""
        own = np.nan_to_num(self._own(stretch))
        mean, scale = self._predicted(self.networks_[k], stretch)
        return np.stack([apply_gains(self.gains_[k], own), self.level_[k] + mean, scale])

    def _predicted(self, network: Seq2Seq, stretch: Stretch) -> Float[np.ndarray, "two time muscle"]:
        """Mean and scale at every sample, in the unit of the targets: windows that overlap by half, merged."""
        coarse = self._coarse(stretch)
        n_time, n_window = coarse.time.size, self._n_window
        starts = sorted({*range(0, max(n_time - n_window, 0) + 1, max(1, n_window // 2)), max(n_time - n_window, 0)})
        padded = np.pad(coarse.inputs, ((0, max(n_window - n_time, 0)), (0, 0)))
        windows = np.stack([padded[a : a + n_window] for a in starts], axis=1)
        present = np.arange(n_window)[:, None] < np.full(len(starts), n_time)
        both = np.asarray(_decoded(network, jnp.asarray(windows, jnp.float32), jnp.asarray(present)), np.float64)
        n_muscle = both.shape[-1]
        total, weight = np.zeros((2, max(n_time, n_window), n_muscle)), np.zeros(max(n_time, n_window))
        ramp = np.minimum(np.arange(1, n_window + 1), np.arange(n_window, 0, -1)).astype(np.float64)
        for k, a in enumerate(starts):
            total[:, a : a + n_window] += ramp[:, None] * both[:, :, k]
            weight[a : a + n_window] += ramp
        merged = (total / weight[:, None])[:, :n_time]
        fine = make_interp_spline(coarse.time, merged, k=min(3, n_time - 1), axis=1)(stretch.time)
        return np.stack([fine[0], np.maximum(fine[1], SMALLEST)]) * self.size_

    # -- sizes and clocks ----------------------------------------------------------------------------------------------

    @property
    def _every(self) -> int:
        return max(1, round(self.config.step_s * self.config.rate_hz))

    @property
    def _n_window(self) -> int:
        return max(4, round(self.window_s_ * self.config.rate_hz / self._every))

    @property
    def _sizes(self) -> Sizes:
        reach = round(self.config.reach_s * self.config.rate_hz / self._every)
        return Sizes(self.centre_.size + int(self.pace_[1] > 0), self.size_.size, self.config.n_unit, reach)

    def _pace(self, stretch: Stretch) -> float | None:
        """Cycles per second of a whole stretch, three at least; None where its inputs do not repeat."""
        inputs = (stretch.inputs - stretch.inputs.mean(axis=0)) / self.spread_
        period = find_period(inputs, round(PERIOD_S[0] * self.config.rate_hz), len(inputs) // 3, nearly=0.5)
        return self.config.rate_hz / period if period else None

    def _told(self, stretch: Stretch) -> float:
        """Its pace as the network is told it: in standard deviations from the mean of the training trials."""
        mean, spread = self.pace_
        pace = self._pace(stretch) if spread > 0 else None
        return float(np.clip((pace - mean) / spread, -PACE_REACH, PACE_REACH)) if pace else 0.0

    def _coarse(self, stretch: Stretch) -> Stretch:
        """The standardised stretch on the network's own clock; beside the inputs its pace, where training trials differ."""
        q = self._every
        inputs, targets = (stretch.inputs - self.centre_) / self.spread_, stretch.targets / self.size_
        if self.pace_[1] > 0:
            inputs = np.column_stack([inputs, np.full(len(inputs), self._told(stretch))])
        return Stretch(stretch.time[::q], inputs[::q], targets[::q], stretch.group, stretch.starts)

    # -- saving and telling ------------------------------------------------------------------------------------------

    def _state(self) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        arrays, values = super()._state()
        networks = values.pop("networks_")
        arrays |= {f"network{i}{name}": a for i, net in enumerate(networks) for name, a in tree_to_arrays(net).items()}
        return arrays, {**values, "n_networks": len(networks)}

    def _restore(self, arrays: dict[str, np.ndarray], values: dict[str, Any]) -> None:
        networks = {name: a for name, a in arrays.items() if name.startswith("network")}
        super()._restore(
            {n: a for n, a in arrays.items() if n not in networks},
            {k: v for k, v in values.items() if k != "n_networks"},
        )
        like = jax.eval_shape(lambda key: Seq2Seq.create(self._sizes, key), jnp.zeros(2, jnp.uint32))
        self.networks_ = [
            arrays_to_tree(
                {n.removeprefix(f"network{i}"): a for n, a in networks.items() if n.startswith(f"network{i}.")}, like
            )
            for i in range(values["n_networks"])
        ]

    def _reservations(self) -> list[str]:
        shares = ", ".join(f"{m} {s:.2f}" for m, s in zip(self.muscles_, self.share_))
        return [f"Share of the network, the rest being simulated activity at one gain and lag: {shares}."]

    def context(self) -> Context:
        return Context(left=np.inf, right=np.inf)  # the pace is that of the whole trial

    def methods_text(self) -> str:
        c = self.config
        n_steps = getattr(self, "n_steps_", c.n_steps) or "a preset number of"
        past = ", mixed with each muscle's own activity at one gain, offset and lag" if c.skip else ""
        paced = getattr(self, "pace_", np.zeros(2))[1] > 0
        return (
            f"{' and '.join(self.signals)}{', with the cadence of the trial,' if paced else ''} were mapped to the "
            f"envelopes of all muscles together by a sequence-to-sequence network with additive attention within "
            f"±{1e3 * c.reach_s:g} ms (after Teramae et al. 2025 and Bahdanau et al. 2015; {c.n_unit} units, windows of "
            f"{c.window_s:g} s, {n_steps} steps of training){past}. The estimate is the mean of {c.n_folds} networks, each "
            f"learned without one fold of the training data, whose errors on it "
            f"{'correct what comes late at a cadence and ' if paced else ''}scale the "
            f"{c.interval_level:.0%} interval."
        )


class KinematicsRNN(STDRNet):
    """The same network from the joint angles, without any simulation: does the simulation add anything?"""

    method = "kinematics-rnn"
    always: ClassVar[tuple[str, ...]] = ("angles",)

    @property
    def signals(self) -> tuple[str, ...]:  # type: ignore[override]
        return self.always


def _shares(
    left: Float[np.ndarray, "time muscle"],
    own: Float[np.ndarray, "time muscle"],
    folds: list[Bool[np.ndarray, " time"]],
) -> Float[np.ndarray, " muscle"]:
    """How much of `own` to add for what is `left`, from 0 to 1.

    By least squares in each fold; then the mean of the folds, drawn towards `SHARE` as far as they disagree (the mean of
    two normal densities multiplied). A person whose EMG is like nobody else's decides nothing alone.
    """
    found = np.full((len(folds), left.shape[1]), np.nan)
    for k, fold in enumerate(folds):
        for i, (wanted, given) in enumerate(zip(left[fold].T, own[fold].T)):
            known = np.isfinite(wanted) & np.isfinite(given)
            if known.any():
                power = max(float(np.sum(given[known] ** 2)), 1e-12)
                found[k, i] = np.clip(np.sum(wanted[known] * given[known]) / power, 0.0, 1.0)
    shares = np.full(left.shape[1], SHARE)
    for i, column in enumerate(found.T):
        each = column[np.isfinite(column)]
        if each.size > 1:
            variance = (np.var(each, ddof=1) + FOLD_SD**2) / each.size
            trust = SHARE_SD**2 / (SHARE_SD**2 + variance)
            shares[i] = trust * each.mean() + (1 - trust) * SHARE
    return shares


@jax.jit
def _decoded(network: Seq2Seq, inputs: jax.Array, present: jax.Array) -> jax.Array:
    shape = (*inputs.shape[:2], network.b_mean.size)
    nothing = jnp.zeros(shape)
    whole = jnp.ones((inputs.shape[1], 2 * network.past.bias_state.shape[-1]))
    return jnp.stack(decode(network, inputs, present, nothing, nothing.astype(bool), whole))
