"""Runs an experiment: person by person, each result saved as soon as it is there."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from myodrive.conditioning.quality import check_emg, mask_emg
from myodrive.errors import OptionError, SignalError
from myodrive.estimator import Estimator, estimators, versions
from myodrive.evaluation.experiments.contract import Experiment, Options, find_experiment
from myodrive.evaluation.experiments.result import TRUTH, ExperimentResult
from myodrive.evaluation.machine import cpu_seconds
from myodrive.evaluation.truth_result import without_nan
from myodrive.recording import Recording, Study, data_hash, sampling_rate
from myodrive.safe_write import safe_write_text

DEFAULT_METHODS = ("low-pass", "bayes", "lfads")
DEFAULT_SEEDS = range(1000, 1003)
LEAST_VALID = 0.8  # of a muscle's samples; a muscle with less is left out for every method

Step = Callable[[str, int, int], None]  # what is being done, cases done, cases in all
Entry = dict[str, Any]


@dataclasses.dataclass(frozen=True)
class Case:
    """What one fit is for: one person's recordings, or one that is simulated."""

    name: str
    subject: str
    effect: bool | None
    make: Callable[[], list[Recording]]


def run_experiment(
    name: str,
    recordings: Sequence[Recording] = (),
    *,
    methods: Sequence[str] = DEFAULT_METHODS,
    seeds: Sequence[int] = DEFAULT_SEEDS,
    settings: dict[str, Options] | None = None,
    options: Options | None = None,
    unseen: bool = False,
    folder: str | Path | None = None,
    progress: Step = lambda what, done, total: None,
) -> ExperimentResult:
    """Run a published analysis on recordings, or without any on recordings simulated for it.

    An estimator is fitted on the EMG of all recordings of one subject and session, test blocks included (unless
    `unseen`), and sees nothing else: never the angles, forces or spikes. Each movement is analysed alone.

    Parameters
    ----------
    name : str
        Of `experiments`.
    recordings : sequence of Recording
        Without any: for each seed one recording with the effect and one without it.
    methods : sequence of str
        Estimators, in the order in which they are compared.
    seeds : sequence of int
        Of simulated recordings.
    settings : dict, optional
        Options for each method, beside the experiment's own: ``{"lfads": {"max_epochs": 50}}``.
    options : dict, optional
        Of the experiment itself: ``{"target": "acceleration"}``.
    unseen : bool
        Every sample is estimated by a fit that had not seen it: one of the first halves of all recordings estimates the
        second halves, and the other way round.
    folder : path, optional
        Keeps the findings of each case as soon as they are there; what is in it already is not computed again.
    progress : callable

    Raises
    ------
    OptionError
        If the experiment, a method or an option is unknown, or there is neither a recording nor a seed.
    """
    experiment = find_experiment(name, options or {})
    makers = {m: _candidates(m, experiment, (settings or {}).get(m, {})) for m in _checked(methods, settings or {})}
    if not recordings and not seeds:
        raise OptionError(
            "there are no recordings, and none are to be simulated.", where="--seeds", remedy="Ask for 1."
        )
    cases = _own_cases(recordings) if recordings else _simulated_cases(experiment, seeds)
    where = Path(folder) if folder else None
    entries: list[Entry] = []
    fits = _Fits(unseen)
    for done, case in enumerate(cases):
        progress(case.name, done, len(cases))
        entries += _run_case(case, experiment, makers, where, fits)
    progress("done", len(cases), len(cases))
    shown = [*makers, TRUTH] if not recordings else list(makers)
    return ExperimentResult(experiment, shown, entries, unseen)


def _checked(methods: Sequence[str], settings: dict[str, Options]) -> list[str]:
    known = estimators("from_emg")
    for method in [*methods, *settings]:
        if method not in known:
            raise OptionError(f"no method '{method}'. There are: {', '.join(known)}.", where="--method")
    if not methods:
        raise OptionError("no method is given.", where="--method", remedy=f"There are: {', '.join(known)}.")
    return list(dict.fromkeys(methods))


def _candidates(method: str, experiment: Experiment, given: Options) -> list[Options]:
    """The options of a method in this experiment; what the user says of an option holds for every candidate."""
    cls = estimators("from_emg")[method]
    kind = "lfads" if issubclass(cls, estimators("from_emg")["lfads"]) else method  # a population of them as well
    merged = [{**own, **given} for own in experiment.settings.get(kind, [{}])]
    unique = [o for i, o in enumerate(merged) if o not in merged[:i]]
    for options in unique:
        cls(**options)  # a wrong option is refused before anything is computed
    return unique


def _simulated_cases(experiment: Experiment, seeds: Sequence[int]) -> list[Case]:
    def make(seed: int, effect: bool) -> list[Recording]:
        return [experiment.simulate(seed, effect)]

    return [
        Case(
            f"{'with' if effect else 'without'}-effect-seed{seed}", f"seed {seed}", effect, partial(make, seed, effect)
        )
        for seed in seeds
        for effect in (True, False)
    ]


def _own_cases(recordings: Sequence[Recording]) -> list[Case]:
    groups: dict[tuple[str, ...], list[Recording]] = {}
    for recording in recordings:
        who = recording.subject or recording.label
        groups.setdefault((who, recording.session), []).append(recording)
    return [
        Case(" ".join(p for p in key if p), key[0], None, partial(_without_bad_muscles, group))
        for key, group in groups.items()
    ]


def _without_bad_muscles(recordings: list[Recording]) -> list[Recording]:
    """With NaN where the quality check masks, without the muscles that are masked most of the time in any recording."""
    masked = [r.with_signal("emg", mask_emg(r["emg"], check_emg(r["emg"]))) for r in recordings]
    labels = [str(m) for m in masked[0]["emg"].muscle.values]
    kept = [
        m
        for m in labels
        if all(m in r["emg"].muscle.values and r["emg"].sel(muscle=m).notnull().mean() >= LEAST_VALID for r in masked)
    ]
    if not kept:
        raise SignalError("no muscle is usable in all of them.", where=recordings[0].label)
    return [r.with_signal("emg", r["emg"].sel(muscle=kept)) for r in masked]


class _Fits:
    """Estimates of the EMG that was last seen: a recording without the effect often has the EMG of the one with it."""

    def __init__(self, unseen: bool) -> None:
        self.unseen = unseen
        self.emg = ""
        self.known: dict[str, tuple[list[list[xr.DataArray]], float]] = {}

    def estimates(
        self, recordings: list[Recording], method: str, candidates: list[Options]
    ) -> tuple[list[list[xr.DataArray]], float]:
        """For each candidate, fitted on all recordings, the estimate of each; and the seconds of CPU time it took."""
        emg = data_hash(*(r["emg"] for r in recordings))
        if emg != self.emg:
            self.emg, self.known = emg, {}
        if method not in self.known:
            start = cpu_seconds()
            estimate = _unseen if self.unseen else _seen
            found = [estimate(partial(estimators("from_emg")[method], **o), recordings) for o in candidates]
            self.known[method] = found, cpu_seconds() - start
        return self.known[method]


def _run_case(
    case: Case, experiment: Experiment, makers: dict[str, list[Options]], folder: Path | None, fits: _Fits
) -> list[Entry]:
    """The findings of every method on one case; those that are kept already are not computed again."""
    recordings = _or_reason(case.make)
    if isinstance(recordings, str):
        return [{**_about(case, case.name, m), "failed": recordings, "seconds": 0.0} for m in makers]
    file = folder / f"{_file_name(case.name)}.json" if folder else None
    kept = _kept(file)
    everything: dict[str, list[Options]] = {**makers, **({} if case.effect is None else {TRUTH: [{}]})}
    entries: list[Entry] = []
    for method, candidates in everything.items():
        key = _key(recordings, experiment, method, candidates, fits.unseen)
        found = [e for e in kept if e.get("key") == key]
        if all("failed" in e for e in found):  # or there is none: a movement that cannot be analysed is not tried again
            found = [{**e, "key": key} for e in _analyse(case, recordings, experiment, method, candidates, fits)]
            kept = [e for e in kept if e["method"] != method] + found
            if file:
                safe_write_text(file, json.dumps(without_nan(kept), indent=1))
        entries += found
    return entries


def _analyse(
    case: Case,
    recordings: list[Recording],
    experiment: Experiment,
    method: str,
    candidates: list[Options],
    fits: _Fits,
) -> Iterator[Entry]:
    """Fit a method on all recordings together, then analyse each movement."""
    fitted: Any
    if method == TRUTH:
        fitted = [[r["activation"] for r in recordings]], 0.0
    else:
        fitted = _or_reason(partial(fits.estimates, recordings, method, candidates))
    for movement in dict.fromkeys(r.movement for r in recordings):
        chosen = [i for i, r in enumerate(recordings) if r.movement == movement]
        about = _about(case, f"{case.name} {movement}".strip() if case.effect is None else case.name, method)
        if isinstance(fitted, str):
            yield {**about, "failed": fitted, "seconds": 0.0}
            continue
        estimates, seconds = fitted
        own = [recordings[i] for i in chosen]
        finding = _or_reason(partial(experiment.analyse, own, [[e[i] for i in chosen] for e in estimates]))
        outcome = {"failed": finding} if isinstance(finding, str) else dataclasses.asdict(finding)
        yield {**about, **outcome, "seconds": seconds}


def _seen(make: Callable[[], Estimator], recordings: list[Recording]) -> list[xr.DataArray]:
    """The estimate of each recording by one fit on the EMG of all of them."""
    blind = Study([r.replace(signals={"emg": r["emg"]}) for r in recordings])
    fitted = make().fit(blind)
    return [_valid(fitted.estimate(recording)) for recording in blind]


def _unseen(make: Callable[[], Estimator], recordings: list[Recording]) -> list[xr.DataArray]:
    """The estimate of each half of the recordings by a fit on the other halves; cut at a whole second of their clock."""
    halves: tuple[list[xr.DataArray], list[xr.DataArray]] = ([], [])
    for emg in (r["emg"] for r in recordings):
        n_first = round(sampling_rate(emg)) * max(1, int(emg.sizes["time"] / sampling_rate(emg) / 2))
        for half, part in zip(halves, (slice(None, n_first), slice(n_first, None))):
            half.append(emg.isel(time=part))
    studies = [Study([Recording({"emg": emg}) for emg in half]) for half in halves]
    fitted = [make().fit(study) for study in studies]
    first, second = ([_valid(f.estimate(r)) for r in s] for f, s in zip(fitted[::-1], studies))
    return [xr.concat(parts, dim="time", join="exact", combine_attrs="override") for parts in zip(first, second)]


def _valid(activation: Any) -> xr.DataArray:
    estimate: xr.DataArray = activation.activation.where(activation.valid)
    return estimate


def _or_reason(work: Callable[[], Any]) -> Any:
    """What it gives, or the sentence that says why there is nothing."""
    try:
        return work()
    except (ValueError, np.linalg.LinAlgError, FloatingPointError) as error:  # every refusal is a ValueError
        return str(error)


def _about(case: Case, name: str, method: str) -> Entry:
    return {"case": name, "subject": case.subject, "effect": case.effect, "method": method}


def _key(
    recordings: list[Recording], experiment: Experiment, method: str, candidates: list[Options], unseen: bool
) -> str:
    """Changes with whatever decides a finding: the data, the options, the version."""
    data = [[data_hash(s) for s in r.signals.values()] for r in recordings]
    own = dataclasses.asdict(experiment)  # type: ignore[call-overload]
    cls = None if method == TRUTH else estimators("from_emg")[method]
    decides = [
        data,
        experiment.name,
        own,
        list(experiment.measures),
        method,
        [cls(**options).config.model_dump(mode="json") for options in candidates] if cls else [],
        unseen,
        versions()["myodrive"],
    ]
    return hashlib.sha256(json.dumps(decides, sort_keys=True, default=str).encode()).hexdigest()[:16]


def _kept(file: Path | None) -> list[Entry]:
    """What an earlier run kept; nothing where there is no file or it is damaged."""
    if file is None:
        return []
    try:
        entries = json.loads(file.read_text(encoding="utf-8"))
        return [_with_nan(e) for e in entries]
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return []


def _with_nan(entry: Entry) -> Entry:
    if "failed" in entry:
        return entry
    return {**entry, "measures": {k: float("nan") if v is None else v for k, v in entry["measures"].items()}}


def _file_name(name: str) -> str:
    return "".join(c if c.isalnum() or c in "-_." else "-" for c in name)
