"""The jobs of `myodrive train` and `myodrive predict`: learn from movement and EMG, say what it is worth, and use it."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from myodrive.activation import Activation
from myodrive.errors import MyodriveError, OptionError, SignalError
from myodrive.estimator import versions
from myodrive.evaluation.motion.comparison import Fit, Options, Step, compare_methods, make_model
from myodrive.evaluation.motion.experiments import METHODS, beside_reference, usable
from myodrive.evaluation.motion.plans import fits_of
from myodrive.evaluation.motion.result import MotionScores
from myodrive.from_motion.base import MotionEstimator
from myodrive.recording import Recording, data_hash

N_FOLDS = 3
NAMES = {"new-repetition": "new repetition", "new-movement": "new movement", "new-subject": "new person"}


@dataclasses.dataclass(frozen=True)
class Training:
    """What `myodrive train` found.

    Attributes
    ----------
    model : MotionEstimator
        Fitted on all recordings.
    scores : MotionScores, optional
        On recordings held out; None where nothing was.
    notes : list of str
        Which splits the data do not allow, and why.
    run : dict
        Options, data and versions.
    """

    model: MotionEstimator
    scores: MotionScores | None
    notes: list[str]
    run: dict[str, Any]

    @property
    def verdict(self) -> list[str]:
        """What the model is worth on new data, in sentences."""
        if self.scores is None:
            return ["Nothing was held out, so nothing is said of new data.", *self.notes]
        told = [
            f"{row['condition']}: {row['method']} reaches R² {row['r2']:.3f} (r {row['r']:.3f}, "
            f"{row['n_trial']} trials of {row['n_subject']} people)."
            for row in self.scores.summary.to_dict(orient="records")
            if row["method"] == self.model.method
        ]
        return [*told, *beside_reference(self.scores), *self.notes, f"Held against {self.scores.against}."]


@dataclasses.dataclass(frozen=True)
class Prediction:
    """What `myodrive predict` found: one activation for each recording, and why others have none."""

    model: MotionEstimator
    recordings: list[Recording]
    activations: list[Activation]
    refused: list[str]
    run: dict[str, Any]


def train_study(
    recordings: Sequence[Recording],
    method: str = "lstm",
    settings: Mapping[str, Options] | None = None,
    *,
    n_folds: int = N_FOLDS,
    folder: str | Path | None = None,
    progress: Step = lambda what, done, total: None,
) -> Training:
    """Fit a method on all recordings, and score it on what each split holds out, beside the references.

    Parameters
    ----------
    recordings : sequence of Recording
        With ``emg`` and the signals that the method reads.
    method : str
        Of the route from movement.
    settings : mapping, optional
        Options of methods.
    n_folds : int
        To which movements and people are dealt; 0 for no scores, which is many times faster.
    folder : path, optional
        Keeps models and scores as soon as they are there.
    progress : callable

    Raises
    ------
    OptionError
        If there is no such method or option, or a single fold.
    SignalError
        If no recording holds both EMG and a movement.
    """
    options = dict(settings or {})
    make_model(method, options)
    if n_folds < 0 or n_folds == 1:
        raise OptionError(
            f"{n_folds} folds hold nothing out.", where="--folds", remedy="Take 2 or more, or 0 for no scores."
        )
    study = usable(recordings)
    left_out = [r.label for r in recordings if "emg" not in r]
    notes = [f"Left out, having no EMG: {', '.join(left_out)}."] if left_out else []
    fits: list[Fit] = []
    for split, condition in NAMES.items() if n_folds else ():
        try:
            fits += fits_of(study, split, (), n_folds, condition)
        except (OptionError, SignalError) as error:
            notes.append(f"Not scored on a {condition}: {error}")
    scores = None
    if fits:
        methods = dict.fromkeys([*METHODS[:2], method])
        scores = compare_methods(study, fits, list(methods), options, folder=folder, progress=progress)
    progress(f"{method}: learning from all", len(fits), len(fits) + 1)
    model = make_model(method, options).fit(study)
    run = {
        "method": method,
        "options": model.config.model_dump(mode="json"),
        "n_folds": n_folds,
        "data": {r.label: data_hash(*r.signals.values()) for r in study},
        "versions": versions(),
    }
    return Training(model, scores, notes, run)


def predict(
    model: MotionEstimator,
    recordings: Sequence[Recording],
    progress: Step = lambda what, done, total: None,
) -> Prediction:
    """Estimate every recording; one that the model refuses is left out, and why is said.

    Raises
    ------
    SignalError
        If the model refuses all.
    """
    kept: list[Recording] = []
    activations: list[Activation] = []
    refused: list[str] = []
    first: MyodriveError | None = None
    for done, recording in enumerate(recordings):
        progress(recording.label, done, len(recordings))
        try:
            activations.append(model.estimate(recording))
            kept.append(recording)
        except MyodriveError as error:
            first = first or error
            refused.append(str(error))
    progress("estimated", len(recordings), len(recordings))
    if first is not None and not kept:
        raise first
    run = {
        "method": model.method,
        "options": model.config.model_dump(mode="json"),
        "data": {r.label: data_hash(*r.signals.values()) for r in kept},
        "refused": refused,
        "versions": versions(),
    }
    return Prediction(model, kept, activations, refused, run)
