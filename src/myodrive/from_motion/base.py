"""What every estimator from movement has: the features of the movement, and adaptation to a new person."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Sequence
from typing import Any, ClassVar, TypeVar

import numpy as np
import xarray as xr
from jaxtyping import Float

from myodrive.conditioning.features import (
    DEGREES,
    MotionOptions,
    is_slow,
    motion_features,
    position_features,
    with_derivatives,
)
from myodrive.errors import OptionError, SignalError
from myodrive.estimator import Estimate
from myodrive.from_motion.adaptation import (
    HeldOut,
    Personal,
    first_seconds_of_emg,
    fitting_scale,
    parts_in_turn,
    piece_of,
)
from myodrive.from_motion.novelty import Novelty
from myodrive.learning.calibration import moments
from myodrive.paired import PairedConfig, PairedEstimator, Stretch, as_study, training
from myodrive.recording import Recording, Study, sampling_rate

Own = TypeVar("Own", bound="MotionEstimator")
MOTION = "motion"
MUCH = 0.05  # share of a recording outside of the training that a reader is told of
RATE_FACTOR = 2.0  # so many times faster or slower than in training a motion may be sampled


class MotionConfig(PairedConfig):
    """Options that every estimator from movement has."""

    motion: MotionOptions = MotionOptions()


class MotionEstimator(PairedEstimator):
    """Base of the estimators from movement: they read features of the movement, and nothing of the person's EMG.

    `adapt` makes the estimator of a new person out of a few seconds of their EMG.
    """

    Config = MotionConfig
    config: MotionConfig
    signals: ClassVar[tuple[str, ...]] = (MOTION,)
    rates_: list[float]  # the lowest and the highest rate of the motion in training
    units_: dict[str, str]  # of the joints in training, where there are any
    people_: dict[str, dict[str, list[float]]]  # those adapted to: the fields of `Personal`, for each muscle
    adapted_: dict[str, float]  # how far each of them is from the general estimate, from 0 to 1 (all that was learned)
    size_: np.ndarray  # (muscle,) standard deviation of the training targets

    def fit(self: Own, data: Any, mvc: Any = None) -> Own:
        study = self._all_inputs(as_study(data))
        rates = [sampling_rate(recording[MOTION]) for recording in study]
        self.rates_ = [min(rates), max(rates)]
        self.units_ = joint_units(study[0])
        self.people_, self.adapted_ = {}, {}
        return super().fit(study, mvc)

    def novelty(self, recording: Recording) -> xr.DataArray:
        """How far a movement is from those of the training (time); above 1 it is outside of them.

        The unit is the distance below which 99 % of held-out trials and people of the training lie, see `Novelty`. NaN where
        the movement is not known.

        Raises
        ------
        NotFittedError
            Before `fit`.
        SignalError
            If a signal or channel of the movement is missing.
        """
        self._check_fitted()
        clock, stretches = self._inputs(self._with_inputs(recording))
        distance = np.full(clock.size, np.nan)
        for place, stretch in stretches:
            distance[place] = self._distance(stretch)
        return xr.DataArray(
            distance, dims="time", coords={"time": ("time", clock, {"units": "s"})}, attrs={"units": "1"}
        )

    def adapt(self: Own, data: Any, seconds: float | None = None, mvc: Any = None) -> Own:
        """An estimator that also knows a new person, of whom there is some EMG.

        What is learned of the person is drawn towards the people of the training, the more the less data there is. The
        same is learned from parts of the data and tried on the rest; that tells how far to go from the general estimate,
        so that a person whom nothing helps keeps it. With less data than can be parted nothing is adapted.

        Parameters
        ----------
        data : Recording or Study
            Of one person, with movement and EMG.
        seconds : float, optional
            Only the EMG of the first so many seconds is used, in the order of the recordings.
        mvc : Recording or Study, optional
            The person's maximum contractions, for ``relative_to="mvc"``. Relative to the person's own trials the scale is
            the one at which the general estimate fits best: the 95th percentile of a few seconds is that of what happened
            to be done in them.

        Raises
        ------
        NotFittedError
            Before `fit`.
        SignalError
            If there are several people in the data, or no EMG.
        """
        self._check_fitted()
        study = data if isinstance(data, Study) else Study([data])
        if len(study.subjects) != 1:
            raise SignalError(f"an estimator is adapted to one person, not to {', '.join(study.subjects) or 'nobody'}.")
        who = study.subjects[0]
        general = self._copy()
        general._forget(who)
        stretches = general._to_adapt_to(general._all_inputs(first_seconds_of_emg(study, seconds)), who, mvc)
        tried = general._tried(stretches)
        share = tried.share(self.size_) if tried else 0.0
        best = general._towards(stretches, share) if share > 0 else general
        if tried:
            level = float(getattr(self.config, "interval_level", 0.9))
            of_activity = getattr(self.config, "interval_of", "measured") == "activity"
            cutoff_hz = self.config.cutoff_hz if of_activity else None
            width = tried.width(share, level, self.config.rate_hz, cutoff_hz)
            best._set_personal(who, dataclasses.replace(best._personal(who), width=width))
        best.adapted_[who] = share
        return best

    # -- what a network does besides ---------------------------------------------------------------------------------

    def _slow(self, stretch: Stretch) -> Float[np.ndarray, "time feature"]:
        """Positions and velocities."""
        return stretch.inputs[:, [is_slow(name) for name in self._features]]

    def _distance(self, stretch: Stretch) -> Float[np.ndarray, " time"]:
        """From the movements of the training, see `novelty`."""
        return self.novelty_.of(self._slow(stretch), self.config.rate_hz)

    @property
    def _as_measured(self) -> bool:
        """Whether it smooths and differentiates by itself what it reads of the movement."""
        return False

    @property
    def _features(self) -> list[str]:
        """The names of what it learns from: those of its channels, or what it makes of them by itself."""
        channels = list(self.channels_[MOTION])
        if not self._as_measured:
            return channels
        return with_derivatives(channels, self.config.motion.derivatives)

    def _towards(self: Own, stretches: Sequence[Stretch], share: float) -> Own:
        """Some share of the way to what is learned of a person, 1 for all of it."""
        other = self._copy()
        other._set_personal(stretches[0].subject, self._gains(stretches).part_way(share))
        return other

    def _fewer(self: Own) -> Own:
        """What is adapted while it is tried how far to go: a network does not need all of its ensemble for that."""
        return self

    def _copy(self: Own) -> Own:
        """A copy whose people are its own."""
        other = copy.copy(self)
        other.normalisations_ = dict(self.normalisations_)
        other.people_, other.adapted_ = dict(self.people_), dict(self.adapted_)
        return other

    def _forget(self, who: str) -> None:
        """What was learned of a person before."""
        self.people_.pop(who, None)

    # -- inside ------------------------------------------------------------------------------------------------------

    def _survey(self, stretches: list[Stretch]) -> None:
        self.size_ = moments(np.concatenate([s.targets for s in stretches]))[1]
        slow = [dataclasses.replace(s, inputs=self._slow(s)) for s in stretches]
        self.novelty_ = Novelty.fit(slow, self.config.rate_hz)

    def _with_inputs(self, recording: Recording) -> Recording:
        made_with = f"{self.config.motion.model_dump_json()} {'as measured' if self._as_measured else ''}"
        if MOTION in recording and recording[MOTION].attrs.get("made_with") == made_with:
            return recording  # in a comparison of methods the features are computed once for all of them
        if self._as_measured and "moments" in self.config.motion.inputs:
            raise OptionError(
                "moments need accelerations, which a causal network takes by itself.",
                where=f"{self.method}.motion.inputs",
                remedy="Leave out the moments.",
            )
        read = position_features if self._as_measured else motion_features
        features = read(recording, self.config.motion)
        return recording.with_signal(MOTION, features.assign_attrs(made_with=made_with))

    def _check_channels(self, recording: Recording) -> None:
        super()._check_channels(recording)
        for joint, unit in joint_units(recording).items():
            known = self.units_.get(joint, unit)
            if (unit in DEGREES) != (known in DEGREES):
                raise SignalError(
                    f"the joint '{joint}' is in '{unit}', and that of the training in '{known}'.",
                    where=recording.label,
                    remedy="Give the unit of the file with units=….",
                )
        rate, (low, high) = sampling_rate(recording[MOTION]), self.rates_
        if not low / RATE_FACTOR <= rate <= high * RATE_FACTOR:
            known = f"{low:g} Hz" if low == high else f"{low:g} to {high:g} Hz"
            raise SignalError(
                f"the movement is sampled at {rate:g} Hz, and that of the training at {known}.",
                where=recording.label,
                remedy="Resample it: conditioning.kinematics.resample_to.",
            )

    def _of_person(self, stretch: Stretch, estimate: Estimate) -> Estimate:
        return self._personal(stretch.subject).of(estimate)

    def _personal(self, who: str) -> Personal:
        if who not in self.people_:
            return Personal.nothing(len(self.muscles_))
        return Personal(**{name: np.asarray(values) for name, values in self.people_[who].items()})

    def _set_personal(self, who: str, personal: Personal) -> None:
        self.people_[who] = {f.name: getattr(personal, f.name).tolist() for f in dataclasses.fields(personal)}

    def _about(self, recording: Recording, stretches: list[Stretch]) -> list[str]:
        notes = []
        far = np.concatenate([self._distance(s) for s in stretches]) > 1
        if far.mean() > MUCH:
            notes.append(f"{far.mean():.0%} of the movement is outside of what was trained on: see novelty(…).")
        if recording.subject not in self.normalisations_:
            who = recording.subject or "this person"
            notes.append(
                f"No EMG of {who} is known: the estimate is that of a typical person of the training, in their unit. "
                "adapt(…) takes a few seconds of EMG."
            )
        return notes

    def _state(self) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        arrays, values = super()._state()
        novelty = values.pop("novelty_")
        arrays |= {f"novelty {name}": getattr(novelty, name) for name in ("examples", "centre", "spread")}
        return arrays, {**values, "usual": novelty.usual}

    def _restore(self, arrays: dict[str, np.ndarray], values: dict[str, Any]) -> None:
        told = {n.removeprefix("novelty "): a for n, a in arrays.items() if n.startswith("novelty ")}
        self.novelty_ = Novelty(**told, usual=values["usual"])
        super()._restore(
            {n: a for n, a in arrays.items() if not n.startswith("novelty ")},
            {n: v for n, v in values.items() if n != "usual"},
        )

    def _to_adapt_to(self, study: Study, who: str, mvc: Any) -> list[Stretch]:
        """The stretches of a person with their targets, whose scale is learned first."""
        envelopes = [self._envelope(recording) for recording in study]
        self._check_muscles(envelopes)
        given = None if mvc is None else {who: mvc}
        self.normalisations_[who] = self._scale(envelopes, who, given)
        stretches = [
            dataclasses.replace(s, trial=str(i))
            for i, (r, e) in enumerate(zip(study, envelopes))
            for s in self._stretches(r, e, who)
        ]
        if not any(np.isfinite(s.targets).any() for s in stretches):
            raise SignalError("nowhere are movement and EMG there at the same time.", where=who)
        if self.config.conditioning.relative_to == "mvc":
            return stretches
        # The unit of the training is what the general estimate is in: its best fit without a prior is the scale.
        general = np.concatenate([self._estimate_stretch(s).mean for s in stretches])
        measured = np.concatenate([s.targets for s in stretches])
        times = fitting_scale(general, measured)
        own = self.normalisations_[who]
        scale = tuple(None if s is None else float(s * t) for s, t in zip(own.scale, times))
        self.normalisations_[who] = own.model_copy(update={"scale": scale})
        return [s.replace_targets(s.targets / times) for s in stretches]

    def _tried(self, stretches: list[Stretch]) -> HeldOut | None:
        """What is said of parts that it was not learned from; None where there are no two parts."""
        folds = parts_in_turn(stretches)
        if len(folds) < 2:
            return None
        few = self._fewer()
        general = [few._estimate_stretch(s) for s in stretches]
        found = HeldOut([], [], [])
        for fold in folds:
            learner = few._towards(training(stretches, fold), 1.0)
            for s, test, estimate in zip(stretches, fold.test, general):
                if test.any():
                    found.measured.append(s.targets[test])
                    found.general.append(piece_of(estimate, test))
                    found.own.append(piece_of(learner._of_person(s, learner._estimate_stretch(s)), test))
        return found

    def _gains(self, stretches: Sequence[Stretch]) -> Personal:
        general = np.concatenate([self._estimate_stretch(s).mean for s in stretches])
        measured = np.concatenate([s.targets for s in stretches])
        return Personal.fit(general, measured, self.size_, self.config.rate_hz)


def joint_units(recording: Recording) -> dict[str, str]:
    """The unit of each joint of the angles."""
    if "angles" not in recording:
        return {}
    angles = recording["angles"]
    units = (
        angles["unit"].values if "unit" in angles.coords else [angles.attrs.get("units", "")] * angles.sizes["joint"]
    )
    return dict(zip(map(str, angles["joint"].values), map(str, units)))
