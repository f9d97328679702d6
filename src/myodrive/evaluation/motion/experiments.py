"""The published questions about movement and muscle activity, on a user's study or on simulated arms: run and put in words."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
from pydantic import TypeAdapter, ValidationError

from myodrive.errors import OptionError, SignalError
from myodrive.estimator import faults_in_words, versions
from myodrive.evaluation.machine import describe_machine
from myodrive.evaluation.motion.comparison import Options, Step, compare_methods
from myodrive.evaluation.motion.plans import PLANS, Contrast, Plan, numbered
from myodrive.evaluation.motion.result import ROUNDING, MotionScores, Weight, in_words, weight
from myodrive.evaluation.truth_result import without_nan
from myodrive.recording import Recording, Study

SETTLED = {
    Weight(1, True): "this supports that",
    Weight(-1, True): "this speaks against the claim that",
    Weight(0, True): "this does not settle whether",
    Weight(1, False): "this hints, and so few people cannot show, that",
    Weight(-1, False): "this is a hint against the claim that",
    Weight(0, False): "this does not settle whether",
}
REFERENCE = "mean-curve"  # what needs no movement at all
METHODS = (REFERENCE, "ridge-fir", "lstm")
QUICK_ARM: Options = {
    "n_known": 3,
    "n_new": 2,
    "n_repetition": 3,
    "n_repetition_new": 3,
    "movements": ("shoulder flexion", "shoulder abduction", "elbow flexion", "reaching forward", "drinking", "pulling"),
}
# A network that learns within seconds: it shows what a run looks like, not how good a network can be.
QUICK_NETWORK: Options = {"n_unit": 16, "n_folds": 2, "n_steps": 80}
ON_ARM: Mapping[str, Options] = {
    "lstm": QUICK_NETWORK,
    "motion": {"up": "y"},
    "conditioning": {"relative_to": "mvc"},  # its EMG is a share of the maximum contraction
}


@dataclasses.dataclass(frozen=True)
class MotionFindings:
    """What an experiment found."""

    experiment: Any  # one of `plans.PLANS`
    contrasts: tuple[Contrast, ...]
    scores: MotionScores
    simulated: str  # the words for the recordings that were simulated; "" for a user's own
    options: dict[str, Any]

    @property
    def verdict(self) -> list[str]:
        """What the result supports and what it does not, in sentences."""
        told = [self.simulated] if self.simulated else []
        told += contrasts_in_words(self.scores, self.contrasts)
        told += beside_reference(self.scores)
        people = self.scores.rows["subject"].nunique()
        told.append(
            f"Held against {self.scores.against}; {people} {'person' if people == 1 else 'people'}."
            + (
                " With fewer than 8 people there is no p, and an interval over people is only a hint."
                if people < 8
                else ""
            )
        )
        return [*told, self.experiment.limits]

    def to_json(self) -> str:
        """Everything but the curves, with machine and versions."""
        compared = between(self.scores, self.contrasts).to_dict(orient="records")
        content = {
            "experiment": self.experiment.name,
            "question": self.experiment.question,
            "options": {**dataclasses.asdict(self.experiment), "methods": self.options},
            **self.scores.content(),
            "contrasts": compared,
            "beside_mean_curve": self.scores.between_methods(REFERENCE).to_dict(orient="records"),
            "verdict": self.verdict,
            "machine": describe_machine(),
            "versions": versions(),
        }
        return json.dumps(without_nan(content), indent=1)


def run_motion_experiment(
    name: str,
    recordings: Sequence[Recording] = (),
    *,
    methods: Sequence[str] | None = None,
    seeds: Sequence[int] = range(1000, 1001),
    settings: Mapping[str, Options] | None = None,
    options: Options | None = None,
    folder: str | Path | None = None,
    progress: Step = lambda what, done, total: None,
) -> MotionFindings:
    """Answer one of the published questions on recordings, or without any on simulated arms of few people.

    Parameters
    ----------
    name : str
        Of `plans.PLANS`: "unseen-movement", "segmentation", "inputs", "diversity" or "new-person".
    recordings : sequence of Recording
        With ``emg`` and ``angles`` or ``markers``, and labels of subject and movement. Estimates are held against
        ``activation`` where all have it.
    methods : sequence of str, optional
        Estimators of the route from movement; `METHODS` without it.
    seeds : sequence of int
        Of simulated people; each makes people of its own.
    settings : mapping, optional
        Options of methods: ``{"lstm": {"n_unit": 32}, "motion": {"inputs": ["pose"]}}``.
    options : dict, optional
        Of the experiment itself.
    folder : path, optional
        Keeps models and scores as soon as they are there.
    progress : callable

    Raises
    ------
    OptionError
        If an option or a method is unknown.
    SignalError
        If the recordings lack what the experiment needs.
    """
    experiment = find_plan(name, options or {})
    given = dict(settings or {})
    said = ""
    if recordings:
        studies = [usable(recordings)]
    else:
        if not seeds:
            raise OptionError("there are no recordings, and none are to be simulated.", where="--seeds")
        studies = [_simulated(seed, len(seeds) > 1, folder) for seed in seeds]
        given = {m: {**ON_ARM.get(m, {}), **given.get(m, {})} for m in {**ON_ARM, **given}}
        said = (
            f"On simulated arms (docs/arm.md) in a quick form: {QUICK_ARM['n_known']} people to learn from, "
            f"{QUICK_ARM['n_new']} new ones, {len(QUICK_ARM['movements'])} movements, and a small network unless its size is "
            "given. The full form is benchmarks/motion_truth.py (docs/motion_experiments.md)."
        )
    parts = []
    for study in studies:
        plan: Plan = experiment.plan(study)
        parts.append(
            compare_methods(
                plan.study, plan.fits, methods or METHODS, given, spans=plan.spans, folder=folder, progress=progress
            )
        )
    scores = MotionScores(
        pd.concat([p.rows for p in parts], ignore_index=True), [t for p in parts for t in p.traces], parts[0].against
    )
    return MotionFindings(experiment, plan.contrasts, scores, said, given)


def find_plan(name: str, options: Options) -> Any:
    """The experiment of that name with these options changed.

    Raises
    ------
    OptionError
        If there is none, or it has no such option, or not of such a value.
    """
    if name not in PLANS:
        raise OptionError(f"no experiment '{name}'. There are: {', '.join(PLANS)}.")
    cls = PLANS[name]
    names = [field.name for field in dataclasses.fields(cls)]
    for option in options:
        if option not in names:
            raise OptionError(f"no option '{option}'. There are: {', '.join(names)}.", where=name)
    try:
        return TypeAdapter(cls).validate_python(options)
    except ValidationError as error:
        raise OptionError(faults_in_words(error), where=name) from error


def between(scores: MotionScores, contrasts: Sequence[Contrast], measure: str = "r2") -> pd.DataFrame:
    """Each contrast for each method: paired differences over people."""
    tables = []
    for reference in dict.fromkeys(c.reference for c in contrasts):
        table = scores.between_conditions(reference, measure)
        if len(table):
            own = [c.condition for c in contrasts if c.reference == reference]
            tables.append(table[table["condition"].isin(own)])
    return pd.concat(tables, ignore_index=True) if tables else pd.DataFrame()


def contrasts_in_words(scores: MotionScores, contrasts: Sequence[Contrast]) -> list[str]:
    """What each contrast says: a paragraph, with a sentence for those methods that say the same."""
    table = between(scores, contrasts)
    told = []
    for contrast in contrasts:
        same: dict[Weight, list[str]] = {}
        for row in table.to_dict(orient="records"):
            of_it = (row["condition"], row["reference"]) == (contrast.condition, contrast.reference)
            differs = any(abs(d) > ROUNDING for d in row["differences"].values())  # else it reads nothing that differs
            if of_it and differs:
                same.setdefault(weight(row), []).append(f"{row['method']} {in_words(row)}")
        if same:
            each = [f"{'; '.join(methods)}: {SETTLED[settled]} {contrast.claim}." for settled, methods in same.items()]
            told.append(f"R² of {contrast.condition} against {contrast.reference}: {' '.join(each)}")
    return told


def beside_reference(scores: MotionScores) -> list[str]:
    """Every method beside the mean curve: a sentence for each condition."""
    table = scores.between_methods(REFERENCE)
    told = []
    for condition, rows in table.groupby("condition", sort=False) if len(table) else ():
        each = [f"{row['method']} {in_words(row)}" for row in rows.to_dict(orient="records")]
        told.append(f"{condition}: R² against the mean curve: {'; '.join(each)}.")
    return told


def usable(recordings: Sequence[Recording]) -> Study:
    """Those that hold EMG and anything else, with their repetitions numbered.

    Raises
    ------
    SignalError
        If there is none.
    """
    kept = [r for r in recordings if "emg" in r and len(r.signals) > 1]
    if not kept:
        held = "; ".join(f"{r.label}: {', '.join(r.signals) or 'nothing'}" for r in recordings)
        raise SignalError(
            f"no recording holds both EMG and a movement, from which this is learned. Found: {held}.",
            remedy="Join the two files of a recording in study.toml, as [[recording.device]] (docs/study.md).",
        )
    return numbered(Study(kept))


# -- inside ----------------------------------------------------------------------------------------------------------


def _simulated(seed: int, several: bool, folder: str | Path | None) -> Study:
    from myodrive.truth.arm import simulate_arm

    study = simulate_arm(seed, cache=folder, **QUICK_ARM)
    if not several:
        return study
    return Study([r.replace(subject=f"{r.subject} ({seed})") for r in study], study.name)
