"""What every estimator from movement has: the features of the movement, and adaptation to a new person."""

from __future__ import annotations

from typing import ClassVar, TypeVar

from myodrive.conditioning.features import MotionOptions, motion_features
from myodrive.paired import PairedConfig, PairedEstimator
from myodrive.recording import Recording

Own = TypeVar("Own", bound="MotionEstimator")
MOTION = "motion"


class MotionConfig(PairedConfig):
    """Options that every estimator from movement has."""

    motion: MotionOptions = MotionOptions()


class MotionEstimator(PairedEstimator):
    """Base of the estimators from movement: they read features of the movement, and nothing of the person's EMG."""

    Config = MotionConfig
    config: MotionConfig
    signals: ClassVar[tuple[str, ...]] = (MOTION,)

    def _with_inputs(self, recording: Recording) -> Recording:
        made_with = self.config.motion.model_dump_json()
        if MOTION in recording and recording[MOTION].attrs.get("made_with") == made_with:
            return recording  # in a comparison of methods the features are computed once for all of them
        features = motion_features(recording, self.config.motion)
        return recording.with_signal(MOTION, features.assign_attrs(made_with=made_with))
