"""`LFADS`: the estimator with the contract of all others around the network."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, ClassVar, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
import xarray as xr
from scipy.stats import norm

from myodrive.conditioning.windows import chop, merge, stretches
from myodrive.errors import SignalError
from myodrive.estimator import Context, Estimate
from myodrive.from_emg.channels import ChannelEstimator
from myodrive.from_emg.lfads.adaptation import adapt
from myodrive.from_emg.lfads.choices import SHORT_EPOCHS, WINDOWS_S, chosen_problem
from myodrive.from_emg.lfads.data import (
    HeldOut,
    Piece,
    external_input,
    network_input,
    pieces_of,
    samples_per_bin,
    unbinned,
)
from myodrive.from_emg.lfads.model import Network, Sizes
from myodrive.from_emg.lfads.objective import Hyperparameters
from myodrive.from_emg.lfads.options import LFADSConfig
from myodrive.from_emg.lfads.posterior import SPREAD, interval, posterior_of_mean
from myodrive.from_emg.lfads.problem import UNITS, Problem, make_problem
from myodrive.from_emg.lfads.reconstruction import reconstruct, spread_unseen
from myodrive.from_emg.lfads.saved import to_arrays, to_networks
from myodrive.from_emg.lfads.sessions import by_session, fit_sessions, session_name
from myodrive.learning.loop import LoopOptions, Progress, State, Trained, train
from myodrive.recording import Recording, Study
from myodrive.trials import Trials

LEAST_TRAINING_S = 30.0  # half of what it was measured on (docs/bench_truth.md)

Like = TypeVar("Like", bound="LFADS")


class LFADS(ChannelEstimator):
    """Latent factor analysis of EMG: the activation as what a recurrent network infers to drive all muscles together.

    One network (of a population: `AutoLFADS`) is trained on windows of the recording, without labels, to predict samples of
    the whitened, rectified EMG that it was not shown, through a low-dimensional dynamical system with inferred inputs. The
    estimate is the posterior mean of the EMG under a gamma (or other) density; the interval is the posterior's, with an
    allowance for what EMG does not show of the activation (`posterior.interval`).

    Learned: `unmixing_`, `autocovariance_`, `noise_`, `gain_` (of the channels), `networks_` (weights, with a leading
    axis of members, here of one), `centre_`, `scale_` (of the encoders' input), `bin_s_`, `window_` (in bins),
    `history_` (one row of scores per epoch), `best_epoch_`, `stopped_`.

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

    _learned_last: ClassVar[str] = "networks_"
    progress: Callable[[Progress], None] | None = None  # set it to be told after each epoch
    _dead: np.ndarray | None = None  # (muscle,) that are to be reconstructed
    _chosen_in_s = 0.0
    window_s_: float
    sizes_: dict[str, Any]
    centre_: np.ndarray
    scale_: np.ndarray
    adaptation_: dict[str, float]

    def context(self) -> Context:
        c = self.config
        window_s = max(WINDOWS_S) if c.window_s == "auto" else float(c.window_s)
        left = right = np.inf if self._whitens else window_s  # whitening has filters that never quite end
        if c.causal:  # the network hears a bin to its end, and between the middles of two the later one counts too
            right = c.look_ahead_s + 1.5 * c.bin_s
        return Context(left=left, right=right)

    def fit(self: Like, data: Trials, mvc: Trials | Sequence[Trials] | None = None) -> Like:
        """As of every estimator. Recordings of several sessions or subjects share one network, see `of_session`."""
        groups = by_session(data) if self.config.sessions and isinstance(data, Study) else {}
        self.sessions_: dict[str, LFADS] = {}
        self.adaptation_ = {}
        if len(groups) < 2:
            return super().fit(data, mvc)
        fit_sessions(self, groups, mvc)
        return self

    def methods_text(self) -> str:
        c, network = self.config, self._sizes()
        shifted = f" Input and target were shifted by up to {c.shift_bins} bins, independently." if c.shift_bins else ""
        return (
            f"{self._words_for_channels()}LFADS (one network; encoders {network.ic_encoder}, controller {network.controller}, generator "
            f"{network.generator} units, {network.n_input} inferred inputs, {network.n_factor} factors; "
            f"{network.density.replace('_', '-')} density) was trained on windows of {self.window_ * self.bin_s_:.3g} s in bins of "
            f"{1000 * self.bin_s_:.3g} ms with coordinated dropout ({c.hide_rate:.0%} of single samples and {c.block_rate:.0%} "
            f"of blocks of {c.block_s:g} s in all muscles).{shifted} {c.validation_share:.0%} of the recording, in blocks that share no "
            f"sample with training, chose the weights of epoch {self.best_epoch_ + 1} of {len(self.history_)} by the "
            f"likelihood of samples hidden from the network. {self._words_for_model()}The activation is the posterior mean of "
            f"{c.n_samples} draws; {self._words_for_interval()}"
        )

    def _words_for_model(self) -> str:
        """What the options add to one network for one session; "" with the defaults."""
        c, names = self.config, {"window_s": "window", "density": "density"}
        chosen = [
            f"the {names[name]} was the best of {', '.join(w.replace('_', '-') for w in scores)}{' s' * (name == 'window_s')}"
            for name, scores in getattr(self, "choices_", {}).items()
        ]
        sentences = [
            (chosen, f"By the likelihood of the same hidden samples, {' and '.join(chosen)}."),
            (c.causal, f"Its encoders ran forwards only and heard {1000 * c.look_ahead_s:g} ms ahead."),
            (c.external, f"Its generator was also driven by a known signal ({c.external})."),
            (
                getattr(self, "sessions_", {}),
                f"{len(getattr(self, 'sessions_', {}))} sessions shared the network, each with a linear read-in and "
                "linear read-outs of its own, which started aligned.",
            ),
            (
                getattr(self, "adaptation_", {}),
                "It was learned on other sessions and then fine-tuned to this one: first its read-in and read-outs, then "
                "all weights, as long as the likelihood of hidden samples rose.",
            ),
        ]
        return "".join(f"{words} " for said, words in sentences if said)

    def _words_for_interval(self) -> str:
        return (
            f"the {self.config.interval_level:.0%} interval is the posterior's, with an allowance for what EMG does not "
            "show of the activation, whose size was found on simulated recordings."
        )

    def _reservations(self) -> list[str]:
        if self.training_s_ >= LEAST_TRAINING_S:
            return []
        return [
            f"LFADS learned from {self.training_s_:.3g} s of EMG. It needs about a minute: below {LEAST_TRAINING_S:g} s it "
            "has not been measured, so trust the other methods more."
        ]

    def _trials(self, data: Trials) -> list[xr.DataArray]:
        trials = super()._trials(data)
        if not self.config.external or isinstance(data, xr.DataArray):
            return trials
        recordings = [data] if isinstance(data, Recording) else data
        name = self.config.external
        return [t.assign_attrs(external=r[name]) if name in r else t for t, r in zip(trials, recordings)]

    @property
    def _whitens(self) -> bool:
        return self.config.whiten and not self.config.causal  # it looks ahead without end

    def _fit(self, trials: list[xr.DataArray]) -> None:
        problem = self._problem(trials)
        self.networks_ = self._train(problem)
        self._calibrate(problem.held_out)

    def of_session(self, name: str) -> LFADS:
        """What was learned for one of several sessions, as an estimator of its own.

        Raises
        ------
        SignalError
            If that session was not there in training.
        """
        if name not in self.sessions_:
            raise SignalError(
                f"the session '{name}' was not there in training. Found: {', '.join(self.sessions_) or 'a single one'}.",
                remedy="Label the recording (subject, session), or fit the model to it: model.adapt(recording).",
            )
        return self.sessions_[name]

    def _of_session_of(self, data: Recording | xr.DataArray) -> LFADS:
        return self.of_session(session_name(data) if isinstance(data, Recording) else "")

    def estimate(self, data: Trials) -> Any:
        """As of every estimator; of several sessions each recording is estimated with what was learned for its own."""
        if not getattr(self, "sessions_", None):
            return super().estimate(data)
        if isinstance(data, Study):
            return [self.estimate(recording) for recording in data]
        return self._of_session_of(data).estimate(data)

    def adapt(self: Like, data: Trials, **options: Any) -> Like:
        """A copy that has learned what is new in a session from a little of it; see `adaptation.adapt`."""
        return adapt(self, data, **options)

    def reconstruct(self, data: Trials) -> Any:
        """As `estimate`, with every muscle that is missing throughout estimated from the others.

        Its interval is as wide as the same reconstruction on held-out samples of the training asks for. The notes name
        it, and it is not `valid`: nothing of it was recorded.

        Parameters
        ----------
        data : Recording, Study or DataArray (time, muscle)
            A dead channel is NaN or left out.

        Returns
        -------
        Activation, or a list of them for a `Study`
        """
        self._check_fitted()
        if isinstance(data, Study):
            return [self.reconstruct(recording) for recording in data]
        if getattr(self, "sessions_", None):
            return self._of_session_of(data).reconstruct(data)
        return reconstruct(self, data)

    def _calibrate(self, held_out: HeldOut) -> None:
        """How wide the interval must be where a muscle was not recorded."""
        numbers = (self.bin_s_, self.config.n_samples, self.config.seed)
        muscles = range(len(self.muscles_))
        self.spread_unseen_ = np.array([spread_unseen(self.networks_, *held_out, *numbers, m) for m in muscles])

    def _problem(self, trials: list[xr.DataArray], sessions: Sequence[int] = ()) -> Problem:
        """What is to be learned, with the window and the density asked for or those that the data choose."""
        config, started = self.config, time.monotonic()
        minutes = config.minutes / 14 if config.minutes else None  # at most seven, in half of the time
        problem, self.choices_ = chosen_problem(
            config,
            partial(make_problem, config, trials, sessions),
            lambda problem: self._run(problem, n_epochs=SHORT_EPOCHS, minutes=minutes).weights,
        )
        self._keep(problem)
        self._chosen_in_s = time.monotonic() - started
        return problem

    def _keep(self, problem: Problem) -> None:
        """What estimates need to know of it."""
        data = problem.data
        self.bin_s_, self.window_, self.window_s_ = problem.bin_s, problem.task.n_time, problem.window_s
        self.density_, self.sizes_ = problem.sizes.density, dataclasses.asdict(problem.sizes)
        self.training_s_, self.n_known_ = len(data.emg) * problem.bin_s, data.external.shape[1]
        self.centre_, self.scale_ = data.centre, data.scale
        self.known_centre_, self.known_scale_ = data.known_centre, data.known_scale

    def _train(self, problem: Problem) -> Network:
        """The networks that estimates are made with, along a leading axis `member`; here it is one."""
        config = self.config
        checkpoint = Path(config.checkpoint) if config.checkpoint else None
        trained = self._run(problem, n_epochs=config.max_epochs, minutes=self._minutes_left(), checkpoint=checkpoint)
        self.history_, self.best_epoch_ = trained.history, trained.best_epoch
        self.skipped_, self.stopped_ = trained.skipped, trained.stopped
        return jax.tree.map(lambda a: a[None], trained.weights)

    def _minutes_left(self) -> float | None:
        """Of `minutes=`, after the choice of window and density."""
        minutes = self.config.minutes
        return None if minutes is None else max(minutes - self._chosen_in_s / 60, minutes / 2)

    def _run(
        self,
        problem: Problem,
        *,
        n_epochs: int,
        minutes: float | None = None,
        checkpoint: Path | None = None,
        start: Network | None = None,
        learning_rate: float | None = None,
    ) -> Trained:
        """Train one network, from a random start or from another network."""
        config = self.config
        seeds = jax.random.split(jax.random.PRNGKey(config.seed), 3)
        hyper = self._hyperparameters(problem.steps_per_epoch, n_epochs)
        if learning_rate is not None:
            hyper = hyper._replace(learning_rate=jnp.float32(learning_rate))
        options = LoopOptions(
            n_epochs=n_epochs,
            steps_per_epoch=problem.steps_per_epoch,
            patience=config.patience,
            earliest_stop=config.ramp_epochs,
            minutes=minutes,
            checkpoint=checkpoint,
        )
        return train(
            problem.task,
            State.start(problem.start(seeds[0]) if start is None else start, seeds[1]),
            hyper,
            problem.training,
            problem.validation,
            options,
            progress=self.progress,
            fingerprint=problem.fingerprint,
        )

    def _estimate(self, trial: xr.DataArray) -> Estimate:
        trial = self._rectified(trial)
        n_per_bin = samples_per_bin(trial, self.bin_s_)
        z = norm.ppf(0.5 + self.config.interval_level / 2)
        results = np.full((3, *trial.shape), np.nan)
        dead = np.zeros(len(self.muscles_), bool) if self._dead is None else self._dead
        spread = np.where(dead, np.maximum(SPREAD, self.spread_unseen_), SPREAD) if dead.any() else SPREAD
        n_muscle, n_network = len(self.muscles_), len(self.networks_.prior_mean)
        level = self.centre_[n_muscle : 2 * n_muscle] ** 2  # from the mean root
        for i, (run, piece) in enumerate(zip(stretches(trial.time.values, trial.values), self._pieces(trial))):
            mean, log_variance = self._merged(piece, i)
            bands = np.stack([mean, *interval(mean, log_variance, level, n_network, z, spread)])
            for k in range(3):
                results[k, run] = unbinned(bands[k], run.stop - run.start, n_per_bin)
        results[:, ~np.isfinite(trial.values) & ~dead] = np.nan  # a muscle that was not recorded is not reported
        return Estimate(*results)

    def _pieces(self, trial: xr.DataArray) -> list[Piece]:
        return pieces_of(trial, samples_per_bin(trial, self.bin_s_), n_known=getattr(self, "n_known_", 0))

    def _merged(self, piece: Piece, stretch: int) -> tuple[np.ndarray, np.ndarray]:
        """Posterior mean and variance of its logarithm in one stretch, from overlapping windows."""
        n_time, overlap = len(piece), round(self.config.overlap_s / self.bin_s_)
        if overlap >= self.window_:  # where "auto" chose a window no longer than the overlap
            overlap = 3 * self.window_ // 4
        emg, external = piece.emg, piece.external
        if self.config.causal:  # a window starts every so often, wherever the recording ends
            after = ((0, -n_time % (self.window_ - overlap) + overlap), (0, 0))
            emg, external = (np.pad(a, after, constant_values=np.nan) for a in (emg, external))
        windows, starts = chop(emg, self.window_, overlap)
        _, x, present = network_input(windows, self.centre_, self.scale_)
        if external.shape[1]:
            known = external_input(chop(external, self.window_, overlap)[0], self.known_centre_, self.known_scale_)
            x = np.concatenate([x, known], axis=-1)
        key = jax.random.fold_in(jax.random.PRNGKey(self.config.seed), stretch)
        moments = posterior_of_mean(self.networks_, x, present, key, self.config.n_samples)
        mean, log_variance = moments[0], moments[2]
        if self.config.causal:
            for moment in (mean, log_variance):
                self._leave_out_ends(moment, overlap)
        mean, log_variance = (merge(m, starts, len(emg), overlap)[:n_time] for m in (mean, log_variance))
        return mean, log_variance

    def _leave_out_ends(self, moment: np.ndarray, overlap: int) -> None:
        """Of causal windows (window, step, muscle): the start has too little past, the end too little look-ahead.

        Half of what windows overlap by beyond the look-ahead goes to the past; every bin stays in one of them.
        """
        ahead = min(self._sizes().look_ahead or 0, overlap)
        moment[1:, : (overlap - ahead) // 2] = np.nan
        moment[:, self.window_ - ahead :] = np.nan

    def _state(self) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        arrays, values = super()._state()
        networks, sessions = values.pop("networks_"), values.pop("sessions_", {})
        arrays |= to_arrays(networks)
        for i, (name, member) in enumerate(sessions.items()):
            own, others = member._state()
            arrays |= {f"session {i} {k}": a for k, a in own.items()}
            values.setdefault("sessions_", {})[name] = others
        return arrays, values

    def _restore(self, arrays: dict[str, np.ndarray], values: dict[str, Any]) -> None:
        others = {name: a for name, a in arrays.items() if not name.startswith(("network", "session "))}
        values, sessions = dict(values), values.get("sessions_", {})
        values.pop("sessions_", None)
        super()._restore(others, values)
        self.networks_ = to_networks(arrays, self._sizes())
        self.sessions_ = {}
        for i, (name, own) in enumerate(sessions.items()):
            prefix = f"session {i} "
            self.sessions_[name] = type(self)(**self.get_params())
            mine = {k.removeprefix(prefix): a for k, a in arrays.items() if k.startswith(prefix)}
            self.sessions_[name]._restore(mine, own)

    def _hyperparameters(self, steps_per_epoch: int, n_epochs: int | None = None) -> Hyperparameters:
        values = {name: getattr(self.config, name) for name in Hyperparameters._fields if not name.endswith("_steps")}
        values["ramp_steps"] = self.config.ramp_epochs * steps_per_epoch
        values["decay_steps"] = (n_epochs or self.config.max_epochs) * steps_per_epoch
        return Hyperparameters(**{name: jnp.asarray(value, jnp.float32) for name, value in values.items()})

    def _sizes(self) -> Sizes:
        if hasattr(self, "sizes_"):
            return Sizes(**self.sizes_)
        units = {name: getattr(self.config, name) for name in UNITS}
        return Sizes(n_muscle=len(self.muscles_), **units)  # as all were before sizes were kept
