"""Estimators that learn a map from another signal (simulated activity, motion) to measured envelopes.

`fit` needs recordings that hold both; `estimate` needs the input signal alone.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any, ClassVar, TypeVar

import numpy as np
import xarray as xr
from jaxtyping import Bool, Float
from pydantic import Field

from myodrive.activation import Activation
from myodrive.conditioning.emg import filter_emg, rectify_emg
from myodrive.conditioning.envelope import smooth_run
from myodrive.conditioning.kinematics import resample_to
from myodrive.conditioning.normalisation import Normalisation
from myodrive.errors import OptionError, SignalError
from myodrive.estimator import Estimate, Estimator, EstimatorConfig, versions
from myodrive.learning.time_blocks import TimeBlocks
from myodrive.recording import Recording, Study, data_hash, gap_free_runs, sampling_rate
from myodrive.trials import as_trials, per_run, to_clock

Own = TypeVar("Own", bound="PairedEstimator")
MIN_STRETCH_S = 0.1  # shorter stretches of the input tell nothing of what came before and after
GAP_S = 0.2  # between blocks of one trial: the envelope at 6 Hz reaches as far


@dataclasses.dataclass(frozen=True)
class Stretch:
    """A stretch of one recording in which every input is known, on the common clock."""

    time: Float[np.ndarray, " time"]
    inputs: Float[np.ndarray, "time channel"]  # finite
    targets: Float[np.ndarray, "time muscle"]  # normalised envelopes; NaN where not measured
    group: str  # what is held out together: a subject, or a trial where there is one subject
    starts: Float[np.ndarray, " start"]  # of the cycles in it, seconds
    subject: str = ""
    movement: str = ""
    trial: str = ""  # which recording it is part of

    def hiding(self, hidden: Bool[np.ndarray, " time"]) -> Stretch:
        """The same without the targets of some samples."""
        return self.replace_targets(np.where(hidden[:, None], np.nan, self.targets))

    def replace_targets(self, targets: Float[np.ndarray, "time muscle"]) -> Stretch:
        return dataclasses.replace(self, targets=targets)


class PairedConfig(EstimatorConfig):
    """Options that every estimator has that learns from a signal and the EMG beside it."""

    rate_hz: float = Field(default=100.0, gt=0)  # of the common clock; motion capture is rarely faster
    cutoff_hz: float = Field(default=6.0, gt=0)  # of the zero-phase envelope that is learned; usual for gait
    cycle_event: str = ""  # label of the events that start a cycle; the first label of a recording without one


class PairedEstimator(Estimator):
    """Base of the estimators that learn from pairs of an input signal and EMG.

    A subclass is one file: `Config`, `method`, the `signals` it reads, `_fit_stretches` and `_estimate_stretch`. Here are
    the common clock, the target (EMG through the usual chain, its envelope, divided by the 95th percentile of all training
    trials of that subject or their maximum contraction), the folds, and the bookkeeping of results.
    """

    Config = PairedConfig
    config: PairedConfig
    signals: ClassVar[tuple[str, ...]] = ()  # the input signals, by their names in a Recording
    _learned_last = "n_training_"

    # -- what a user calls -------------------------------------------------------------------------------------------

    def fit(self: Own, data: Any, mvc: Any = None) -> Own:
        """Learn from recordings that hold both the input signals and EMG.

        Parameters
        ----------
        data : Recording or Study
            The muscles of ``emg`` must be the same in all; one that was not measured is NaN.
        mvc : dict of str to Recording or Study, optional
            Each subject's maximum contractions, for ``relative_to="mvc"``. EMG whose unit is 1 is a fraction of the maximum
            contraction already and needs none.

        Raises
        ------
        SignalError
            If a signal is missing, or nothing is there at the same time in both.
        OptionError
            If maximum contractions are given and not asked for, or the other way round.
        """
        study = self._all_inputs(as_study(data))
        self.channels_ = {name: _labels(study[0][name]) for name in self.signals}
        envelopes = [self._envelope(recording) for recording in study]
        self.muscles_ = [str(m) for m in envelopes[0].muscle.values]
        self._check_muscles(envelopes)
        self.normalisations_ = {
            subject: self._scale([e for e, r in zip(envelopes, study) if r.subject == subject], subject, mvc)
            for subject in study.subjects
        }
        stretches = [
            dataclasses.replace(s, trial=str(i))
            for i, (r, e) in enumerate(zip(study, envelopes))
            for s in self._stretches(r, e, self._group(study, i))
        ]
        if not any(np.isfinite(s.targets).any() for s in stretches):
            raise SignalError(
                f"nowhere are {' and '.join(self.signals)} and EMG there at the same time.",
                remedy="Check that both are on one clock: `myodrive info FILE` shows from when to when each lasts.",
            )
        self._fit_stretches(stretches)
        self._survey(stretches)
        self.n_training_ = len(study)
        return self

    def estimate(self, data: Any) -> Any:
        """The activation of every muscle, from the input signals alone: an `Activation`, or a list of them for a `Study`.

        Raises
        ------
        NotFittedError
            Before `fit`.
        SignalError
            If an input signal, or a channel of it that `fit` saw, is missing.
        """
        self._check_fitted()
        if isinstance(data, Study):
            return [self.estimate(recording) for recording in data]
        recording = self._with_inputs(as_study(data)[0])
        clock, stretches = self._inputs(recording)
        mean, lower, upper = self._placed(clock, stretches)
        coords = {"time": ("time", clock, {"units": "s"}), "muscle": self.muscles_}

        def signal(values: np.ndarray) -> xr.DataArray:
            return xr.DataArray(values, dims=("time", "muscle"), coords=coords)

        return Activation(
            signal(mean),
            lower=signal(lower),
            upper=signal(upper),
            method=self.method,
            relative_to=self.config.conditioning.relative_to,
            interval_level=float(getattr(self.config, "interval_level", np.nan))
            if np.isfinite(lower).any()
            else np.nan,
            configuration=self.config.model_dump(mode="json"),
            versions=versions(),
            seed=getattr(self.config, "seed", None),
            data_sha256=data_hash(*(recording[name] for name in self.signals)),
            notes=[*self._reservations(), *self._about(recording, [s for _, s in stretches])],
        )

    def estimate_values(self, recording: Recording) -> Float[np.ndarray, "three time muscle"]:
        """The numbers of `estimate` (mean, lower, upper) without what surrounds them, for thousands of short recordings.

        The recording must hold every signal that is read.
        """
        self._check_fitted()
        return self._placed(*self._inputs(recording))

    def measured(self, data: Recording | Study) -> Any:
        """What the estimates are to be held against: the measured envelopes on the same clock, in the same unit.

        A subject of `fit` keeps the scale learned there. A new one has none: theirs is learned over all recordings of
        that subject in `data`, so give them together.

        Returns
        -------
        DataArray (time, muscle), or a list of them for a Study
        """
        self._check_fitted()
        study = self._all_inputs(as_study(data))
        envelopes = [self._envelope(recording) for recording in study]
        self._check_muscles(envelopes)
        found = []
        for recording, envelope in zip(study, envelopes):
            own = [e for e, r in zip(envelopes, study) if r.subject == recording.subject]
            scale = self.normalisations_.get(recording.subject) or self._scale(own, recording.subject, None)
            clock = self._clock(recording)
            placed = to_clock(_scaled(envelope, scale), envelope.time.values, clock)
            coords = {"time": ("time", clock, {"units": "s"}), "muscle": self.muscles_}
            found.append(xr.DataArray(placed, dims=("time", "muscle"), coords=coords, attrs={"units": "1"}))
        return found if isinstance(data, Study) else found[0]

    # -- what a subclass writes --------------------------------------------------------------------------------------

    def _with_inputs(self, recording: Recording) -> Recording:
        """The recording with every signal that is read: a route that derives its own adds them here."""
        return recording

    def _fit_stretches(self, stretches: list[Stretch]) -> None:
        """Learn from stretches, whose targets are NaN where nothing was measured."""

    def _survey(self, stretches: list[Stretch]) -> None:
        """What is to be known of the training besides, once all is learned."""

    def _estimate_stretch(self, stretch: Stretch) -> Estimate:
        """Estimate one stretch, whose targets are all NaN: envelopes in units of the normalisation."""
        raise NotImplementedError

    def _of_person(self, stretch: Stretch, estimate: Estimate) -> Estimate:
        """The estimate with what is known of the person who moves."""
        return estimate

    def _about(self, recording: Recording, stretches: list[Stretch]) -> list[str]:
        """What a reader must know of the estimate of this recording."""
        return []

    def _held_out(self, stretches: list[Stretch], folds: list[Hidden]) -> list[np.ndarray]:
        """For each stretch what is estimated of each sample by learning from the folds that do not hold it out."""
        found = [np.full(s.targets.shape, np.nan) for s in stretches]
        for fold in folds:
            learner = self.__sklearn_clone__()._reading_as(self)
            learner._fit_stretches(training(stretches, fold))
            for stretch, test, estimate in zip(stretches, fold.test, found):
                if test.any():
                    estimate[test] = learner._estimate_stretch(stretch).mean[test]
        return found

    # -- inside ------------------------------------------------------------------------------------------------------

    def _placed(
        self, clock: Float[np.ndarray, " _time"], stretches: list[tuple[slice, Stretch]]
    ) -> Float[np.ndarray, "three _time muscle"]:
        """Mean, lower and upper of each stretch in its place on the clock; NaN elsewhere, and without an interval."""
        values = np.full((3, clock.size, len(self.muscles_)), np.nan)
        for place, stretch in stretches:
            found = self._of_person(stretch, self._estimate_stretch(stretch))
            values[0, place] = found.mean
            if found.lower is not None and found.upper is not None:
                values[1:, place] = found.lower, found.upper
        return values

    def _all_inputs(self, study: Study) -> Study:
        return Study([self._with_inputs(recording) for recording in study], study.name)

    def _reading_as(self: Own, other: PairedEstimator) -> Own:
        """Itself, with the channels, muscles and scales of another."""
        self.channels_ = {name: other.channels_[name] for name in self.signals}
        self.muscles_, self.normalisations_ = other.muscles_, other.normalisations_
        return self

    def _restore(self, arrays: dict[str, np.ndarray], values: dict[str, Any]) -> None:
        for name, value in {**arrays, **values}.items():
            setattr(self, name, value)
        self.normalisations_ = {s: Normalisation.model_validate(n) for s, n in values["normalisations_"].items()}
        for parent in type(self).__mro__:
            for name in vars(parent).get("__annotations__", {}):
                if name.endswith("_"):
                    getattr(self, name)  # what an older file lacks is missed here, and not when it is first needed

    def _state(self) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        arrays, values = super()._state()
        values["normalisations_"] = {s: n.model_dump(mode="json") for s, n in self.normalisations_.items()}
        return arrays, values

    def _scale(self, envelopes: list[xr.DataArray], subject: str, mvc: Any) -> Normalisation:
        """What a subject's envelopes are divided by."""
        options = self.config.conditioning
        if options.relative_to == "mvc" and mvc is None and envelopes[0].attrs.get("units") == "1":
            ones = (1.0,) * len(self.muscles_)
            return Normalisation(muscles=tuple(self.muscles_), clip=ones, scale=ones, relative_to="mvc", units="1")
        if mvc is not None and options.relative_to != "mvc":
            raise OptionError(
                f"maximum contractions are given, but amplitude is relative to {options.relative_to}.",
                remedy='Pass conditioning=EmgConditioning(relative_to="mvc").',
            )
        if mvc is not None and (not isinstance(mvc, dict) or subject not in mvc):
            found = ", ".join(map(str, mvc)) if isinstance(mvc, dict) else type(mvc).__name__
            raise OptionError(
                f"there is no maximum contraction of '{subject}'. Found: {found}.",
                remedy="Give those of each subject: mvc={subject: recording}.",
            )
        contractions = [self._envelope(recording) for recording in as_study(mvc[subject])] if mvc else []
        return Normalisation.fit(envelopes, options, mvc=contractions)

    @staticmethod
    def _group(study: Study, index: int) -> str:
        return study[index].subject if len(study.subjects) > 1 else f"trial {index + 1}"

    def _envelope(self, recording: Recording) -> xr.DataArray:
        """The zero-phase envelope of each muscle at the rate of the conditioned EMG, in its own unit."""
        (emg,) = as_trials(recording)
        rectified = rectify_emg(filter_emg(emg, self.config.conditioning), self.config.conditioning)
        if rectified.attrs["stage"] == "envelope":
            return rectified
        rate = sampling_rate(rectified)
        values = per_run(rectified, lambda run: smooth_run(run, rate, self.config.cutoff_hz))
        return rectified.copy(data=values).assign_attrs(stage="envelope")

    def _clock(self, recording: Recording) -> Float[np.ndarray, " time"]:
        """Whole multiples of the step, from the first instant that all input signals have to the last."""
        times = [recording[name].time.values for name in self.signals]
        rate = self.config.rate_hz
        first, last = max(t[0] for t in times) * rate, min(t[-1] for t in times) * rate
        return np.arange(int(np.ceil(first - 1e-6)), int(np.floor(last + 1e-6)) + 1) / rate

    def _inputs(self, recording: Recording) -> tuple[np.ndarray, list[tuple[slice, Stretch]]]:
        """The clock, and each stretch with its place on it, without targets."""
        self._check_channels(recording)
        clock = self._clock(recording)
        parts = [
            resample_to(recording[name].sel({_labelled(recording[name]): labels}), clock).values
            for name, labels in self.channels_.items()
        ]
        values = np.concatenate(parts, axis=1)
        runs = gap_free_runs(clock, np.isfinite(values).all(axis=1)) if clock.size > 1 else []
        least = MIN_STRETCH_S * self.config.rate_hz
        starts = self._starts(recording)
        found = []
        for run in runs:
            if run.stop - run.start < least:
                continue
            time = clock[run]
            inside = starts[(starts >= time[0]) & (starts <= time[-1])]
            unknown = np.full((time.size, len(self.muscles_)), np.nan)
            who = {"subject": recording.subject, "movement": recording.movement}
            found.append((run, Stretch(time, values[run], unknown, "", inside, **who)))
        if not found:
            raise SignalError(
                f"{' and '.join(self.signals)} are nowhere known together for {MIN_STRETCH_S:g} s.",
                where=recording.label,
            )
        return clock, found

    def _stretches(self, recording: Recording, envelope: xr.DataArray, group: str) -> list[Stretch]:
        """The stretches of a recording, with their targets."""
        scaled = _scaled(envelope, self.normalisations_[recording.subject])
        return [
            dataclasses.replace(s, group=group, targets=to_clock(scaled, envelope.time.values, s.time))
            for _, s in self._inputs(recording)[1]
        ]

    def _starts(self, recording: Recording) -> Float[np.ndarray, " start"]:
        """When cycles start: the events of the label that the options name, of the side that comes first."""
        events = recording.events
        label = self.config.cycle_event or (str(events.label.iloc[0]) if len(events) else "")
        chosen = events[events.label == label]
        chosen = chosen[chosen.side == chosen.side.iloc[0]] if len(chosen) else chosen
        return np.unique(chosen.time.to_numpy(dtype=np.float64))

    def _check_channels(self, recording: Recording) -> None:
        for name, labels in self.channels_.items():
            found = _labels(recording[name])
            missing = [label for label in labels if label not in found]
            if missing:
                raise SignalError(
                    f"the channels {', '.join(missing)} of '{name}', which were there in training, are missing. "
                    f"Found: {', '.join(found)}.",
                    where=recording.label,
                )


@dataclasses.dataclass(frozen=True)
class Hidden:
    """One fold: for each stretch, which samples are learned from and which are held out."""

    train: list[Bool[np.ndarray, " _time"]]
    test: list[Bool[np.ndarray, " _time"]]
    held_out: str


def make_folds(stretches: Sequence[Stretch], n_folds: int) -> list[Hidden]:
    """Folds over groups (subjects, or trials of one subject); over blocks of time with a gap where there are too few.

    Three groups are the least: with two, half of the data would be learned from. Blocks are of the samples with a
    target, so that what is hidden from all is part of no fold.
    """
    groups = list(dict.fromkeys(s.group for s in stretches))
    if len(groups) >= 3:
        dealt = [groups[k :: min(n_folds, len(groups))] for k in range(min(n_folds, len(groups)))]
        return [_fold_of_groups(stretches, names) for names in dealt]
    folds = [Hidden([], [], f"block {k + 1}") for k in range(n_folds)]
    for stretch in stretches:
        known = np.flatnonzero(np.isfinite(stretch.targets).any(axis=1))
        blocks = TimeBlocks(n_folds, GAP_S).split(stretch.time[known]) if known.size >= 2 * n_folds else []
        for k, fold in enumerate(folds):
            train, test = np.zeros((2, stretch.time.size), dtype=bool)
            if blocks:
                train[known[blocks[k][0]]], test[known[blocks[k][1]]] = True, True
            fold.train.append(train)
            fold.test.append(test)
    return [f for f in folds if any(t.any() for t in f.test)]


def _fold_of_groups(stretches: Sequence[Stretch], names: Sequence[str]) -> Hidden:
    held = [np.full(s.time.size, s.group in names) for s in stretches]
    return Hidden([~h for h in held], held, ", ".join(names))


def training(stretches: Sequence[Stretch], fold: Hidden) -> list[Stretch]:
    """The stretches with what a fold does not learn from hidden; those of which nothing is left are left out."""
    return [s.hiding(~t) for s, t in zip(stretches, fold.train) if t.any()]


def as_study(data: Any) -> Study:
    if isinstance(data, Recording):
        return Study([data])
    if isinstance(data, Study) and len(data):
        return data
    raise SignalError(
        f"a map between two signals is learned from recordings that hold both, not from {type(data).__name__}.",
        remedy="Pass a Recording or a Study with at least one.",
    )


def _scaled(envelope: xr.DataArray, normalisation: Normalisation) -> Float[np.ndarray, "time muscle"]:
    """Divided by the scale and not clipped: an envelope has no single-sample artefacts, and peaks are to be kept."""
    return envelope.values / np.array([np.nan if v is None else v for v in normalisation.scale])


def _labelled(signal: xr.DataArray) -> str:
    """The dimension of a signal that is not time."""
    return next(str(d) for d in signal.dims if d != "time")


def _labels(signal: xr.DataArray) -> list[str]:
    others = [d for d in signal.dims if d != "time"]
    if len(others) != 1 or others[0] not in signal.coords:
        raise SignalError(f"an input signal is (time, channel) with named channels, not {tuple(signal.dims)}.")
    return [str(v) for v in signal[others[0]].values]
