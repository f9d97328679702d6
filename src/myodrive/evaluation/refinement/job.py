"""The job of `myodrive refine`: learn from recordings with EMG, estimate all, and say what it is worth on held-out EMG."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np
import pandas as pd

from myodrive.activation import Activation
from myodrive.errors import MyodriveError, OptionError, SignalError
from myodrive.estimator import estimators, versions
from myodrive.evaluation.refinement.comparison import Options, Step, compare_refinements, contenders, make_model
from myodrive.evaluation.refinement.experiments import both_of
from myodrive.evaluation.refinement.folds import by_what_there_is
from myodrive.evaluation.refinement.pairing import Pairs, pair_muscles
from myodrive.evaluation.refinement.result import Comparison
from myodrive.evaluation.saved_model import load_model
from myodrive.from_simulation.muscle_problem import MuscleProblem
from myodrive.from_simulation.muscle_signals import muscle_problem
from myodrive.from_simulation.refinement import Refinement
from myodrive.from_simulation.torque_check import check_torques, refine_within_torques
from myodrive.paired import PairedEstimator
from myodrive.recording import Recording, Study, data_hash

N_FOLDS = 5


@dataclasses.dataclass(frozen=True)
class RefineResult:
    """What `myodrive refine` found.

    Attributes
    ----------
    model : PairedEstimator
        What was learned from all recordings with EMG.
    recordings, activations
        One of each for every recording with simulated activity.
    comparison : Comparison, optional
        Scores on held-out EMG; None where nothing was held out.
    torques : DataFrame
        Error of the joint torques of the refined activity, relative to the torques, for each recording that tells how its
        muscles pull, and each joint; ``within_bound`` is that of `within_torques`.
    within_torques : list of Activation or None
        For every recording the activity of all muscles of its model nearest to the refined one with torque errors under the
        bound; None without a bound, and where it cannot be kept or the recording does not tell how its muscles pull.
    notes : list of str
    run : dict
        Options, data and versions.
    """

    model: PairedEstimator
    recordings: list[Recording]
    activations: list[Activation]
    comparison: Comparison | None
    torques: pd.DataFrame
    within_torques: list[Activation | None]
    notes: list[str]
    run: dict[str, Any]

    @property
    def choices(self) -> pd.DataFrame:
        """For each muscle what was chosen and why, and the validated scores of each candidate; empty for one correction."""
        return self.model.choices if isinstance(self.model, Refinement) else pd.DataFrame()

    @property
    def reasons(self) -> list[str]:
        """Why each muscle got what it got."""
        return [f"{row.muscle}: {row.chosen} ({row.why})." for row in self.choices.itertuples()]

    @property
    def verdict(self) -> list[str]:
        """What it is worth on new data."""
        said = self.comparison.verdict if self.comparison else ["No EMG was held out, so nothing is said of new data."]
        return [*self.notes, *said]


def refine_study(
    recordings: Sequence[Recording],
    *,
    method: str = Refinement.method,
    model: str | Path | None = None,
    pairs: Mapping[str, Sequence[str]] | None = None,
    settings: Mapping[str, Options] | None = None,
    n_folds: int = N_FOLDS,
    torque_bound: float | None = None,
    folder: str | Path | None = None,
    progress: Step = lambda what, done, total: None,
) -> RefineResult:
    """Refine the simulated activity of every recording.

    Parameters
    ----------
    recordings : sequence of Recording
        With ``simulated``; it is learned from those that hold ``emg`` as well.
    method : str
        "refined": for each muscle the correction that validation chooses; or the name of one correction.
    model : path, optional
        A folder that an earlier run saved: nothing is learned, nothing held out.
    pairs : mapping, optional
        Measured muscle to simulated muscles, see `pair_muscles`.
    settings : mapping, optional
        Options of methods: ``{"stdr-net": {"n_steps": 100}}``.
    n_folds : int
        Held out for the scores: people, trials or blocks of strides; 0 for none, which is that many times faster.
    torque_bound : float, optional
        Also find the activity nearest to the refined one whose torque errors are at most this share of the torques, as
        `refine_within_torques` does.
    folder : path, optional
        Keeps the scores of each fold as soon as they are there.
    progress : callable

    Raises
    ------
    OptionError
        If there is no such method, there is one fold, or no recording tells how its muscles pull, for a bound.
    SignalError
        If no recording holds what is needed, or no muscle can be paired.
    """
    known = estimators("from_simulation")
    if method not in known:
        raise OptionError(f"no method '{method}'. There are: {', '.join(known)}.", where="--method")
    if n_folds < 0 or n_folds == 1:
        raise OptionError(
            f"{n_folds} folds hold nothing out.", where="--folds", remedy="Take 2 or more, or 0 for no scores."
        )
    with_simulation = [r for r in recordings if "simulated" in r]
    problems = [_problem(r) for r in with_simulation]
    if torque_bound is not None and not any(problems):
        raise OptionError(
            "no recording tells how its muscles pull, so nothing is known of torques.",
            where="--torque-bound",
            remedy="Join the simulated.nc that `myodrive simulate` wrote, which keeps moments and moment arms.",
        )
    left_out = [f"{r.label} holds no simulated activity and is left out." for r in recordings if "simulated" not in r]
    if model is not None:
        fitted, comparison = cast(PairedEstimator, load_model(model, "from_simulation", "refine")), None
        if not with_simulation:
            raise SignalError(
                "no recording holds simulated activity.", remedy="Add the .sto of each (docs/refinement.md)."
            )
    else:
        study = both_of(recordings)
        found = pair_muscles(study, pairs)
        left_out += _unpaired(study, found)
        made = contenders(method, found, settings or {})
        comparison = None
        if n_folds:
            folds = by_what_there_is(study, n_folds)
            comparison = compare_refinements(folds, made, folder=folder, progress=progress)
        progress("learning from all", n_folds, n_folds + 1)
        fitted = make_model(method, found, settings or {}).fit(study)
    activations = fitted.estimate(Study(with_simulation))
    run = {
        "method": fitted.method,
        "model": str(model or ""),
        "options": fitted.config.model_dump(mode="json"),
        "n_folds": n_folds if model is None else 0,
        "torque_bound": torque_bound,
        "data": {r.label: data_hash(*(s for s in r.signals.values())) for r in recordings},
        "versions": versions(),
    }
    rows: list[dict[str, Any]] = []
    within: list[Activation | None] = []
    for recording, activation, problem in zip(with_simulation, activations, problems):
        errors, kept, said = _torques(problem, activation, getattr(fitted.config, "pairs", {}), torque_bound)
        rows += [{"recording": recording.label, **row} for row in errors]
        within.append(kept)
        left_out += [f"{recording.label}: {sentence}" for sentence in said]
    return RefineResult(fitted, with_simulation, activations, comparison, pd.DataFrame(rows), within, left_out, run)


# -- inside ----------------------------------------------------------------------------------------------------------


def _unpaired(study: Study, pairs: Pairs) -> list[str]:
    """Muscles without a simulated one of their own: refined from the others, and nothing keeps them from being worse."""
    alone = [str(m) for m in study[0]["emg"].muscle.values if str(m) not in pairs]
    if not alone:
        return []
    return [
        f"No simulated muscle is paired with {', '.join(alone)}: estimated from the other muscles, if at all. "
        "Pair it with --pair."
    ]


def _problem(recording: Recording) -> MuscleProblem | None:
    """How its muscles pull; nothing where it does not tell."""
    try:
        return muscle_problem(recording)
    except SignalError:
        return None


def _torques(
    problem: MuscleProblem | None, activation: Activation, pairs: Pairs, bound: float | None
) -> tuple[list[dict[str, Any]], Activation | None, list[str]]:
    """The torque error of each joint, the activity that keeps to the bound, and why there is none."""
    if problem is None:
        return [], None, []
    try:
        free = check_torques(problem, activation, pairs=pairs).relative
    except SignalError:  # none of its refined muscles is the model's
        return [], None, []
    within, said = None, []
    if bound is not None:
        try:
            within = refine_within_torques(problem, activation, bound, pairs)
        except MyodriveError as error:
            said = [f"not kept within the bound of torques: {error}"]
    rows: list[dict[str, Any]] = []
    for joint, share in zip(map(str, free.index), map(float, free.values)):
        kept = {"within_bound": float(within.relative[joint])} if within else {}
        rows += [{"joint": joint, "relative_error": share, **kept}] if np.isfinite(share) else []
    return rows, within.to_activation() if within else None, said
