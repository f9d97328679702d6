"""Two published comparisons: how much nearer measured EMG refined activity is than simulated, running and walking.

Teramae et al. 2025, 10.3389/fbioe.2025.1611414, refine within a person. So does `running`; `walking` holds out the person.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from myodrive.errors import SignalError
from myodrive.estimator import versions
from myodrive.evaluation.machine import describe_machine
from myodrive.evaluation.refinement.comparison import Options, Step, compare_refinements, contenders, make_model
from myodrive.evaluation.refinement.folds import HeldOutFold, new_parts, new_people
from myodrive.evaluation.refinement.pairing import pair_muscles
from myodrive.evaluation.refinement.result import Comparison
from myodrive.evaluation.truth_result import without_nan
from myodrive.from_simulation.refinement import Refinement
from myodrive.from_simulation.stdrnet import KinematicsRNN
from myodrive.recording import Recording, Study
from myodrive.truth.musculoskeletal import simulate_trials

N_BLOCKS = 7  # of strides, or trials that are dealt to as many folds
TRIAL_S = 5.0  # of a simulated trial


@dataclasses.dataclass(frozen=True)
class RefinementExperiment:
    """What is held out, and what may be said of it."""

    name: str
    question: str
    needs: str
    limits: str
    folds: Callable[[Study], list[HeldOutFold]]
    simulate: Callable[[Sequence[int]], Study]


@dataclasses.dataclass(frozen=True)
class RefinementFindings:
    """What a run of such an experiment found."""

    experiment: RefinementExperiment
    comparison: Comparison
    simulated: bool  # on trials that are simulated for it
    options: dict[str, Any]

    @property
    def verdict(self) -> list[str]:
        """What the result supports and what it does not, in sentences."""
        where = ["On trials of a simulated leg (docs/truth.md)."] if self.simulated else []
        return [*where, *self.comparison.verdict, self.experiment.limits]

    def to_json(self) -> str:
        """Everything but the curves, with machine and versions."""
        about = {"experiment": self.experiment.name, "question": self.experiment.question, "options": self.options}
        content = {**about, **self.comparison.content(), "verdict": self.verdict}
        content |= {"machine": describe_machine(), "versions": versions()}
        return json.dumps(without_nan(content), indent=1)


def _one_person(seeds: Sequence[int]) -> Study:
    """Each seed is a person with five trials."""
    return Study([r for seed in seeds for r in simulate_trials(seed, 5, duration_s=TRIAL_S)], "leg")


def _several_people(seeds: Sequence[int]) -> Study:
    """Each seed is a person with two trials; three people at least."""
    several = range(seeds[0], seeds[0] + max(3, len(seeds)))
    return Study([r for seed in several for r in simulate_trials(seed, 2, duration_s=TRIAL_S)], "legs")


RUNNING = RefinementExperiment(
    "running",
    "Is refined activity nearer the measured EMG than the simulation is, in strides of the same person?",
    "simulated muscle activity and EMG of the same movement",
    "A person's own strides are much alike: whatever keeps to their phase, a linear filter too, can be right here. "
    "Nothing is said of other people or movements. A lag is only as good as the clock that EMG and motion share.",
    lambda study: new_parts(study, N_BLOCKS),
    _one_person,
)
WALKING = RefinementExperiment(
    "walking",
    "Is refined activity nearer the measured EMG than the simulation is, in a person who was not learned from?",
    "simulated muscle activity and EMG of the same movement, of three people or more",
    "A new person is scored in units of the 95th percentile of their own trials, which uses their EMG for the unit alone. "
    "The mean curve of the others needs no simulation: only what is nearer than that is owed to it.",
    new_people,
    _several_people,
)
REFINEMENTS: Mapping[str, RefinementExperiment] = {e.name: e for e in (RUNNING, WALKING)}


def run_refinement_experiment(
    name: str,
    recordings: Sequence[Recording] = (),
    *,
    pairs: Mapping[str, Sequence[str]] | None = None,
    settings: Mapping[str, Options] | None = None,
    seeds: Sequence[int] = range(1000, 1001),
    folder: str | Path | None = None,
    progress: Step = lambda what, done, total: None,
) -> RefinementFindings:
    """Hold out person after person, or strides of the same person, and score every correction there.

    Parameters
    ----------
    name : "running" or "walking"
    recordings : sequence of Recording
        With ``simulated``, ``emg`` and, if possible, ``angles``; without any, trials of a simulated leg.
    pairs : mapping, optional
        Measured muscle to simulated muscles, see `pair_muscles`.
    settings : mapping, optional
        Options of methods: ``{"stdr-net": {"n_steps": 100}, "refined": {"n_folds": 3}}``.
    seeds : sequence of int
        Of simulated people.
    folder : path, optional
        Keeps the scores of each fold as soon as they are there.

    Raises
    ------
    SignalError
        If no recording holds both signals, or there are too few people.
    """
    experiment = REFINEMENTS[name]
    study = both_of(recordings) if recordings else experiment.simulate(seeds)
    found = pair_muscles(study, pairs)
    made = contenders(Refinement.method, found, settings or {})
    if all("angles" in recording for recording in study):
        made.append(make_model(KinematicsRNN.method, found, settings or {}))
    comparison = compare_refinements(experiment.folds(study), made, folder=folder, progress=progress)
    options = {model.method: model.config.model_dump(mode="json") for model in made}
    return RefinementFindings(experiment, comparison, not recordings, options)


def both_of(recordings: Sequence[Recording]) -> Study:
    """Those that hold simulated activity and EMG; their angles of the same time alone, so that no method sees more.

    Raises
    ------
    SignalError
        If there is none.
    """
    kept = [r for r in recordings if "simulated" in r and "emg" in r]
    if not kept:
        held = "; ".join(f"{r.label}: {', '.join(r.signals) or 'nothing'}" for r in recordings)
        raise SignalError(
            f"no recording holds both simulated activity and EMG, from which a refinement is learned. Found: {held}.",
            remedy="Join the two files of a recording in study.toml: the EMG as file, the simulated .sto as "
            "[[recording.device]] with offset_s = 0 (docs/refinement.md).",
        )
    return Study([_of_one_time(r) for r in kept])


def _of_one_time(recording: Recording) -> Recording:
    if "angles" not in recording:
        return recording
    time, angles = recording["simulated"].time.values, recording["angles"]
    return recording.with_signal("angles", angles.sel(time=slice(time[0] - 1e-6, time[-1] + 1e-6)))
