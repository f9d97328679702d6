"""`LFADS`: the estimator with the contract of all others around the network."""

from __future__ import annotations

import dataclasses
import hashlib
import re
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
import xarray as xr
from pydantic import Field
from scipy.stats import norm

from myodrive.conditioning.windows import chop, merge, partition
from myodrive.errors import SignalError
from myodrive.estimator import Context, Estimate, Estimator, EstimatorConfig
from myodrive.from_emg import crosstalk, whitening
from myodrive.from_emg.lfads.data import (
    Problem,
    as_windows,
    binned_stretches,
    feature_statistics,
    network_input,
    unbinned,
)
from myodrive.from_emg.lfads.densities import DENSITIES
from myodrive.from_emg.lfads.model import Network, Sizes
from myodrive.from_emg.lfads.objective import Hyperparameters, LFADSTask
from myodrive.from_emg.lfads.posterior import posterior_of_mean, spread_factor
from myodrive.learning.checkpoint import arrays_to_tree, tree_to_arrays
from myodrive.learning.loop import LoopOptions, Progress, State, train
from myodrive.recording import sampling_rate
from myodrive.trials import Trials, as_trials

LEAST_TRAINING_S = 30.0  # half of what it was measured on (docs/bench_truth.md)

Like = TypeVar("Like", bound="LFADS")
Positive = Annotated[float, Field(gt=0)]
Share = Annotated[float, Field(ge=0, lt=1)]
Scale = Annotated[float, Field(ge=0)]
Count = Annotated[int, Field(ge=1)]


RENAMED = re.compile(r"\.to_(log_shape|log_rate)")  # read-outs as they were called before there were several densities
_create = jax.jit(Network.create, static_argnums=0)


class LFADSConfig(EstimatorConfig):
    """Options of `LFADS`."""

    # Before rectification, of raw EMG; an input that is rectified already has lost what both need
    whiten: bool = True  # samples that tell something new: see `WhitenedEnvelope`
    unmix: bool = True  # take off what one muscle's electrodes see of another: see `crosstalk`
    order: Annotated[int, Field(ge=1, le=50)] = 6  # of the whitening's autoregressive model

    # Windows
    window_s: Positive = 1.6  # published .2; docs/lfads.md says how it was chosen
    overlap_s: Scale = 1.2  # of the windows that estimates are merged from, cross-faded; published .05
    bin_s: Positive = 0.02  # the network steps over means of this long; published .002

    # Sizes, in units; those published for EMG are in `model.Sizes`
    ic_encoder: Count = 64
    ci_encoder: Count = 64
    controller: Count = 64
    generator: Count = 64
    n_initial: Count = 30
    n_input: Count = 4
    n_factor: Count = 10

    # Of the EMG given the factors: "gamma" (as published), "lognormal" or "zero_inflated_gamma"
    density: Literal["gamma", "lognormal", "zero_inflated_gamma"] = "gamma"

    # Hyperparameters
    learning_rate: Positive = 5e-3  # at the start; it falls by half a cosine to a twentieth
    dropout: Share = 0.2
    hide_rate: Share = 0.4  # coordinated dropout, single samples
    block_rate: Share = 0.1  # coordinated dropout, blocks of all muscles
    block_s: Positive = 0.1  # length of a block
    shift_bins: Annotated[int, Field(ge=0)] = 0  # see `objective.shift`: a patent application exists
    kl_initial: Scale = 0.1  # 1 is the evidence bound
    kl_input: Scale = 0.1
    l2_generator: Scale = 1e-2
    l2_controller: Scale = 1e-2
    ramp_epochs: Annotated[int, Field(ge=0)] = 10

    # Training
    batch_size: Count = 32
    max_epochs: Count = 50
    patience: Count = 15  # epochs
    minutes: Positive | None = None  # of training at the most
    validation_share: Annotated[float, Field(gt=0, le=0.5)] = 0.2
    validation_gap_s: Scale = 0.2
    checkpoint: str | None = Field(None, exclude=True)  # a file that training saves itself to and resumes from

    # Estimates
    n_samples: Count = 50  # draws from the posterior, as published
    interval_level: Annotated[float, Field(gt=0, lt=1)] = 0.9
    seed: int = 0


class LFADS(Estimator):
    """Latent factor analysis of EMG: the activation as what a recurrent network infers to drive all muscles together.

    One network (not yet a population) is trained on windows of the recording, without labels, to predict samples of
    the whitened, rectified EMG that it was not shown, through a low-dimensional dynamical system with inferred inputs. The
    estimate is the posterior mean of the EMG under a gamma (or other) density, the interval comes from the posterior's
    spread times `spread_`, a factor found on held-out samples.

    Learned: `unmixing_`, `autocovariance_`, `noise_`, `gain_` (of the channels), `networks_` (weights, with a leading
    axis of members, here of one), `centre_`, `scale_` (of the encoders' input), `bin_s_`, `window_` (in bins),
    `spread_`, `history_` (one row of scores per epoch), `best_epoch_`, `stopped_`.

    References
    ----------
    Pandarinath et al. 2018, Nat Methods 15:805, 10.1038/s41592-018-0109-9.
    Keshtkaran & Pandarinath 2019, NeurIPS 32 (coordinated dropout).
    Wimalasena et al. 2022, J Neural Eng 19:036013, 10.1088/1741-2552/ac6369.
    """

    method: ClassVar[str] = "lfads"
    Config = LFADSConfig
    config: LFADSConfig
    consumes: ClassVar[str] = "rectified"
    references: ClassVar[tuple[str, ...]] = (
        "Pandarinath C, et al. Inferring single-trial neural population dynamics using sequential auto-encoders. "
        "Nat Methods 2018;15:805-815. doi:10.1038/s41592-018-0109-9",
        "Keshtkaran MR, Pandarinath C. Enabling hyperparameter optimization in sequential autoencoders for spiking "
        "neural data. NeurIPS 2019;32.",
        "Wimalasena LN, et al. Estimating muscle activation from EMG using deep learning-based dynamical systems "
        "models. J Neural Eng 2022;19:036013. doi:10.1088/1741-2552/ac6369",
        "Clancy EA, Farry KA. Adaptive whitening of the electromyogram to improve amplitude estimation. IEEE Trans "
        "Biomed Eng 2000;47:709-719. doi:10.1109/10.844217",
        "Kilner JM, Baker SN, Lemon RN. A novel algorithm to remove electrical cross-talk between surface EMG recordings "
        "and its application to the measurement of short-term synchronisation in humans. J Physiol 2002;538:919-930. "
        "doi:10.1113/jphysiol.2001.012950",
    )

    progress: Callable[[Progress], None] | None = None  # set it to be told after each epoch

    def context(self) -> Context:
        # Whitening follows the local strength of EMG and noise by filters that never quite end.
        window_s = np.inf if self.config.whiten else self.config.window_s
        return Context(left=window_s, right=window_s)

    def fit(self: Like, data: Trials, mvc: Trials | Sequence[Trials] | None = None) -> Like:
        stages = {trial.attrs.get("stage", "raw") for trial in as_trials(data)}
        self.reads_raw_ = (self.config.whiten or self.config.unmix) and stages <= {"raw", "filtered"}
        return super().fit(data, mvc)

    def methods_text(self) -> str:
        c, network = self.config, self._sizes()
        shifted = f" Input and target were shifted by up to {c.shift_bins} bins, independently." if c.shift_bins else ""
        return (
            f"{self._words_for_channels()}LFADS (one network; encoders {network.ic_encoder}, controller {network.controller}, generator "
            f"{network.generator} units, {network.n_input} inferred inputs, {network.n_factor} factors; "
            f"{c.density.replace('_', '-')} density) was trained on windows of {self.window_ * self.bin_s_:.3g} s in bins of "
            f"{1000 * self.bin_s_:.3g} ms with coordinated dropout ({c.hide_rate:.0%} of single samples and {c.block_rate:.0%} "
            f"of blocks of {c.block_s:g} s in all muscles).{shifted} {c.validation_share:.0%} of the recording, in blocks that share no "
            f"sample with training, chose the weights of epoch {self.best_epoch_ + 1} of {len(self.history_)} by the "
            f"likelihood of samples hidden from the network. The activation is the posterior mean of {c.n_samples} draws; "
            f"the {c.interval_level:.0%} interval is the posterior's, widened {self.spread_:.2g} times as held-out samples "
            "ask for."
        )

    def _reservations(self) -> list[str]:
        if self.training_s_ >= LEAST_TRAINING_S:
            return []
        return [
            f"LFADS learned from {self.training_s_:.3g} s of EMG. It needs about a minute: below {LEAST_TRAINING_S:g} s it "
            "has not been measured, so trust the other methods more."
        ]

    def _normalised(self, filtered: xr.DataArray, rectified: xr.DataArray) -> xr.DataArray:
        return self.normalisation_.apply(filtered if self.reads_raw_ else rectified)

    def _fit(self, trials: list[xr.DataArray]) -> None:
        if self.reads_raw_:
            self._learn_channels(trials)
        problem = self._problem([self._rectified(trial) for trial in trials])
        self.networks_ = self._train(problem)
        arrays = network_input(problem.held_out, self.centre_, self.scale_)
        self.spread_ = spread_factor(self.networks_, *arrays, self.bin_s_, self.config.n_samples, self.config.seed)

    def _learn_channels(self, trials: list[xr.DataArray]) -> None:
        """What must be known of the channels before they are rectified: their crosstalk and their spectra."""
        self.rate_ = whitening.common_rate(trials)
        n_muscle = trials[0].sizes["muscle"]
        self.unmixing_ = crosstalk.fit_unmixing(trials) if self.config.unmix else np.eye(n_muscle)
        unmixed = [crosstalk.unmix(trial, self.unmixing_) for trial in trials]
        if self.config.whiten:
            self.autocovariance_, self.noise_ = whitening.fit_spectra(unmixed, self.config.order)
            self.gain_ = whitening.fit_gain(unmixed, self.autocovariance_, self.noise_)

    def _rectified(self, trial: xr.DataArray) -> xr.DataArray:
        """What the network learns from: free of crosstalk, whitened and rectified, or as it came where it came rectified."""
        if not self.reads_raw_:
            return trial
        if trial.attrs["stage"] != "filtered":
            raise SignalError(
                f"the network learned from raw EMG, and this input is {trial.attrs['stage']} already.",
                remedy="Give it raw EMG, or fit with whiten=False, unmix=False.",
            )
        whitening.check_rate(trial, self.rate_)
        unmixed = crosstalk.unmix(trial, self.unmixing_)
        if not self.config.whiten:
            return unmixed.copy(data=np.abs(unmixed.values))
        return unmixed.copy(data=self.gain_ * whitening.whiten(unmixed, self.autocovariance_, self.noise_))

    def _words_for_channels(self) -> str:
        """How the EMG was made ready, for the methods section; "" where it came rectified."""
        steps = [
            ("freed of crosstalk by joint diagonalisation (after Kilner et al. 2002)", self.config.unmix),
            (f"whitened adaptively (order {self.config.order}; after Clancy & Farry 2000)", self.config.whiten),
        ]
        done = [words for words, wanted in steps if wanted and self.reads_raw_]
        return f"EMG was {' and '.join(done)} before rectification. " if done else ""

    def _problem(self, trials: list[xr.DataArray]) -> Problem:
        """What is to be learned, from normalised trials; the statistics that estimates need are kept on the way."""
        config = self.config
        n_per_bin = max(1, round(config.bin_s * sampling_rate(trials[0])))
        self.bin_s_ = n_per_bin / sampling_rate(trials[0])
        pieces = [binned for trial in trials for _, binned in binned_stretches(trial, self._n_per_bin(trial))]
        self.window_ = self._window(max(map(len, pieces)))
        usable = [p for p in pieces if len(p) >= self.window_]
        together = np.concatenate(usable)
        self.training_s_ = len(together) * self.bin_s_
        self.centre_, self.scale_ = feature_statistics(together)
        # Blocks of one window, spread over the recording, so that what happens once is rarely all held out.
        parts = partition(
            [len(p) for p in usable],
            self.window_,
            fraction=config.validation_share,
            gap=round(config.validation_gap_s / self.bin_s_),
            windows_per_block=1,
            first=config.seed,
        )
        training, validation = (
            as_windows(together, self.centre_, self.scale_, s, self.window_) for s in (parts.training, parts.validation)
        )
        block = max(1, round(config.block_s / self.bin_s_))
        return Problem(
            task=LFADSTask(self.window_, config.batch_size, block, config.shift_bins),
            sizes=self._sizes(),
            null=DENSITIES[self.config.density].fit(together),
            training=training,
            validation=validation,
            held_out=np.stack([together[start : start + self.window_] for start in parts.validation]),
            steps_per_epoch=max(20, -(-len(parts.training) // (self.window_ * config.batch_size))),
            fingerprint=self._fingerprint(together),
        )

    def _train(self, problem: Problem) -> Network:
        """The networks that estimates are made with, along a leading axis `member`; here it is one."""
        config = self.config
        seeds = jax.random.split(jax.random.PRNGKey(config.seed), 3)
        start = _create(problem.sizes, jnp.asarray(problem.null, jnp.float32), seeds[0])
        options = LoopOptions(
            n_epochs=config.max_epochs,
            steps_per_epoch=problem.steps_per_epoch,
            patience=config.patience,
            earliest_stop=config.ramp_epochs,
            minutes=config.minutes,
            checkpoint=Path(config.checkpoint) if config.checkpoint else None,
        )
        trained = train(
            problem.task,
            State.start(start, seeds[1]),
            self._hyperparameters(problem.steps_per_epoch),
            problem.training,
            problem.validation,
            options,
            progress=self.progress,
            fingerprint=problem.fingerprint,
        )
        self.history_, self.best_epoch_ = trained.history, trained.best_epoch
        self.skipped_, self.stopped_ = trained.skipped, trained.stopped
        return jax.tree.map(lambda a: a[None], trained.weights)

    def _estimate(self, trial: xr.DataArray) -> Estimate:
        trial = self._rectified(trial)
        n_per_bin = self._n_per_bin(trial)
        z = norm.ppf(0.5 + self.config.interval_level / 2)
        results = np.full((3, *trial.shape), np.nan)
        for i, (run, binned) in enumerate(binned_stretches(trial, n_per_bin)):
            mean, log_variance = self._merged(binned, i)
            half = z * self.spread_ * np.sqrt(log_variance)
            bands = np.stack([mean, mean * np.exp(-half), mean * np.exp(half)])
            for k in range(3):
                results[k, run] = unbinned(bands[k], run.stop - run.start, n_per_bin)
        results[:, ~np.isfinite(trial.values)] = np.nan  # a muscle that was not recorded is not reported
        return Estimate(*results)

    def _merged(self, binned: np.ndarray, stretch: int) -> tuple[np.ndarray, np.ndarray]:
        """Posterior mean and variance of its logarithm in one stretch, from overlapping windows."""
        overlap = min(round(self.config.overlap_s / self.bin_s_), self.window_ - 1)
        windows, starts = chop(binned, self.window_, overlap)
        _, x, present = network_input(windows, self.centre_, self.scale_)
        key = jax.random.fold_in(jax.random.PRNGKey(self.config.seed), stretch)
        mean, _, log_variance = posterior_of_mean(self.networks_, x, present, key, self.config.n_samples)
        return merge(mean, starts, len(binned), overlap), merge(log_variance, starts, len(binned), overlap)

    def _state(self) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        arrays, values = super()._state()
        networks = values.pop("networks_")
        return {**arrays, **{f"networks{name}": a for name, a in tree_to_arrays(networks).items()}}, values

    def _restore(self, arrays: dict[str, np.ndarray], values: dict[str, Any]) -> None:
        # Before there were populations there was one network, saved under "network" and without an axis of members.
        single = {name.removeprefix("network"): a[None] for name, a in arrays.items() if name.startswith("network.")}
        several = {name.removeprefix("networks"): a for name, a in arrays.items() if name.startswith("networks.")}
        others = {name: a for name, a in arrays.items() if not name.startswith("network")}
        super()._restore(others, {"reads_raw_": False, **values})  # before it was there none did
        weights = {RENAMED.sub(r".read_out['\1']", name): a for name, a in (single or several).items()}
        n_member = len(next(iter(weights.values())))
        n_parameter = len(DENSITIES[self.config.density].bounds)
        null, keys = jnp.zeros((n_parameter, len(self.muscles_))), jnp.zeros((n_member, 2), jnp.uint32)
        like = jax.eval_shape(jax.vmap(partial(Network.create, self._sizes(), null)), keys)
        self.networks_ = arrays_to_tree(weights, like)

    def _hyperparameters(self, steps_per_epoch: int) -> Hyperparameters:
        values = {name: getattr(self.config, name) for name in Hyperparameters._fields if not name.endswith("_steps")}
        values["ramp_steps"] = self.config.ramp_epochs * steps_per_epoch
        values["decay_steps"] = self.config.max_epochs * steps_per_epoch
        return Hyperparameters(**{name: jnp.asarray(value, jnp.float32) for name, value in values.items()})

    def _sizes(self) -> Sizes:
        units = {
            f.name: getattr(self.config, f.name)
            for f in dataclasses.fields(Sizes)
            if f.name in LFADSConfig.model_fields
        }
        return Sizes(n_muscle=len(self.muscles_), **units)

    def _n_per_bin(self, trial: xr.DataArray) -> int:
        rate = sampling_rate(trial)
        n = max(1, round(self.bin_s_ * rate))
        if abs(n / rate - self.bin_s_) > 0.01 * self.bin_s_:
            raise SignalError(
                f"a sampling rate of {rate:g} Hz does not divide into the bins of {1000 * self.bin_s_:g} ms of the training.",
                remedy="Estimate at the sampling rate that was trained at.",
            )
        return n

    def _window(self, longest: int) -> int:
        """In bins: the one asked for, or a sixth of the longest stretch if that is shorter."""
        window = min(round(self.config.window_s / self.bin_s_), longest // 6)
        if window < 4:
            raise SignalError(
                f"the longest stretch without a gap is {longest * self.bin_s_:.2g} s, too short for a network to learn from.",
                remedy="Use low-pass or bayes for it, or fit several recordings together.",
            )
        return window

    def _fingerprint(self, data: np.ndarray) -> str:
        options = self.config.model_dump_json(
            exclude={"minutes", "max_epochs", "patience", "n_samples", "interval_level"}
        )
        return hashlib.sha256(options.encode() + np.ascontiguousarray(data).tobytes()).hexdigest()
