"""Every estimator against recordings whose activation is known, beside floors that know the truth."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import itertools
import json
import multiprocessing
import os
from collections.abc import Callable, Collection, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from pathlib import Path
from typing import Any

from myodrive.errors import OptionError
from myodrive.estimator import estimators, versions
from myodrive.evaluation.machine import cpu_seconds
from myodrive.evaluation.truth_result import BenchResult, Options, without_nan
from myodrive.evaluation.truth_scoring import TruthScore, score_against_truth
from myodrive.learning.processes import usable_cores, worker_environment
from myodrive.recording import Recording
from myodrive.safe_write import safe_write_text
from myodrive.truth import SCENARIOS, simulate_recording

Step = Callable[[str, int, int], None]  # what is being done, recordings done, recordings in all
Scores = dict[str, dict[str, Any]]  # by estimator

N_LATENTS = 4
AS_IT_COMES: Options = {"whiten": False, "unmix": False}  # rectified EMG, as synergies are published
CUTOFFS_HZ = (1.0, 1.5, 2.0, 3.0, 4.0, 6.0, 8.0, 10.0, 15.0)

# AutoLFADS as five minutes on two cores: the bench itself has a process on each core.
FULL_SETTINGS: dict[str, Options] = {"lfads": {"minutes": 4.0}, "autolfads": {"minutes": 10.0, "workers": 0}}

# A quick run ends within 50 s on two cores: LFADS has one of them, and what is slow gets one recording of the two.
# Measured in CPU time: LFADS 37 s, of which 24 s are training; everything else 23 s and 11 s.
QUICK_SETTINGS: dict[str, Options] = {"lfads": {"minutes": 0.4}, "synergies": {"cutoff_hz": 4.0}}
QUICK_CUTOFFS_HZ = (2.0, 3.0, 4.0, 10.0)
QUICK_ONCE = ("lfads", "synergies", "oracle-nmf")
QUICK_LEFT_OUT = ("bayes-causal", "autolfads")


@dataclasses.dataclass(frozen=True)
class Contender:
    """A row of the table: an estimator with its options, or several sets of options of which the truth picks the best."""

    method: str
    candidates: tuple[Options, ...] = ({},)


VARIANTS = {
    "low-pass-10hz": Contender("low-pass", ({"cutoff_hz": 10.0},)),
    "low-pass-causal": Contender("low-pass", ({"cutoff_hz": 4.0, "causal": True},)),
    "bayes-causal": Contender("bayes", ({"causal": True},)),
    "oracle-lowpass": Contender("low-pass", tuple({"cutoff_hz": c} for c in CUTOFFS_HZ)),
    "oracle-whitened": Contender("whitened", tuple({"cutoff_hz": c} for c in CUTOFFS_HZ)),
    "oracle-nmf": Contender("synergies", tuple({**AS_IT_COMES, "cutoff_hz": c, "rank": N_LATENTS} for c in CUTOFFS_HZ)),
    "synergies-published": Contender("synergies", (AS_IT_COMES,)),
    "oracle-nmf-as-lfads": Contender("synergies", tuple({"cutoff_hz": c, "rank": N_LATENTS} for c in CUTOFFS_HZ)),
}
"""Fixed filters, causal forms, and those that are given what nobody has: the best cut-off, and the true rank. The last
has whitened EMG without crosstalk as LFADS has: beside it is seen what the network adds to its own conditioning."""


@dataclasses.dataclass(frozen=True)
class Case:
    """One simulated recording."""

    scenario: str
    seed: int
    snr_db: float
    n_muscles: int
    duration_s: float

    @property
    def name(self) -> str:
        return f"{self.scenario}-{self.n_muscles}muscles-{self.snr_db:g}dB-{self.duration_s:g}s-seed{self.seed}"

    def simulate(self) -> Recording:
        return simulate_recording(
            self.scenario,
            seed=self.seed,
            snr_db=self.snr_db,
            n_muscles=self.n_muscles,
            n_latents=N_LATENTS,
            duration_s=self.duration_s,
        )


Job = tuple[Case, dict[str, Contender]]


def run_truth_bench(
    *,
    quick: bool = False,
    methods: Sequence[str] | None = None,
    scenarios: Sequence[str] | None = None,
    seeds: Collection[int] | None = None,
    snr_db: Collection[float] | None = None,
    n_muscles: Collection[int] | None = None,
    duration_s: float = 60.0,
    settings: dict[str, Options] | None = None,
    folder: str | Path | None = None,
    json_path: str | Path | None = None,
    workers: int | None = None,
    progress: Step = lambda what, done, total: None,
) -> BenchResult:
    """Score estimators and floors over scenarios × seeds × signal-to-noise ratios × numbers of muscles.

    An estimator sees the EMG of the whole recording and nothing else. What fails is a row with its reason.

    Parameters
    ----------
    quick : bool
        Two recordings of the scenario "reference" (20 dB, 8 muscles), unless said otherwise. LFADS has little time, and
        the slowest methods get the first recording alone.
    methods : sequence of str, optional
        Estimators and floors; all of both by default.
    scenarios, seeds, snr_db, n_muscles : optional
        By default all scenarios, the seeds 0 to 9, (10, 20, 30) dB, (4, 8, 16) muscles.
    duration_s : float
        Of each recording.
    settings : dict, optional
        Options for each method: ``{"lfads": {"minutes": 2}}``.
    folder : path, optional
        Keeps one JSON for each recording as soon as it is done; what is in it already is not computed again.
    json_path : path, optional
        Where to write the result.
    workers : int, optional
        Processes; one per core by default. 1 stays in this one.
    progress : callable
        Told what was done, how many recordings are done and how many there are.

    Raises
    ------
    OptionError
        If a method or a scenario is unknown, or there is no seed.
    """
    usual = QUICK_SETTINGS if quick else FULL_SETTINGS
    settings = usual | {name: usual.get(name, {}) | given for name, given in (settings or {}).items()}
    contenders = _contenders(methods, settings, quick)
    chosen = list(scenarios or (("reference",) if quick else SCENARIOS))
    for scenario in chosen:
        if scenario not in SCENARIOS:
            raise OptionError(f"no scenario '{scenario}'. There are: {', '.join(SCENARIOS)}.")
    if seeds is not None and not seeds:
        raise OptionError("no recording is asked for.", where="--seeds", remedy="Ask for 1.")
    cases = [
        Case(scenario, seed, float(snr), n, duration_s)  # seeds outermost: a run that is stopped has all conditions
        for seed, snr, n, scenario in itertools.product(
            seeds if seeds is not None else range(2 if quick else 10),
            snr_db or ((20.0,) if quick else (20.0, 10.0, 30.0)),
            n_muscles or ((8,) if quick else (8, 4, 16)),
            chosen,
        )
    ]
    where = Path(folder) if folder else None
    known = {case: _known(case, contenders, where) for case in cases}
    jobs = _jobs(known, contenders, quick)
    for done, (case, found) in enumerate(_run_all(jobs, workers), start=1):
        known[case].update(found)
        if where:
            together = {**_kept(where, case), **known[case]}
            safe_write_text(_file(where, case), json.dumps(without_nan(list(together.values())), indent=1))
        progress(case.name, done, len(jobs))
    scores = [known[case][name] for case in cases for name in contenders if name in known[case]]
    result = BenchResult(scores, settings)
    if json_path is not None:
        safe_write_text(json_path, result.to_json())
    return result


def run_job(case: Case, contenders: dict[str, Contender]) -> Scores:
    """Simulate one recording and score each contender on it."""
    recording = case.simulate()
    return {name: {**_about(case, name, c), **_score(c, recording)} for name, c in contenders.items()}


def _score(contender: Contender, recording: Recording) -> dict[str, Any]:
    """The best score of the candidates, or why there is none."""
    start = cpu_seconds()
    blind = recording.replace(signals={"emg": recording["emg"]})
    best: dict[str, Any] = {}
    try:
        for options in contender.candidates:
            estimator = estimators("from_emg")[contender.method](**options)
            estimate = estimator.fit(blind).estimate(blind)
            score = score_against_truth(estimate, recording)
            if not best or score.r2 > best["r2"]:
                best = {**dataclasses.asdict(score), "level": estimate.interval_level, "options": options}
    except Exception as error:  # whatever an estimator stumbles over is a finding about it, not the end of the bench
        return {"failed": f"{type(error).__name__}: {error}", "seconds": cpu_seconds() - start}
    return {**best, "seconds": cpu_seconds() - start}


def _contenders(methods: Sequence[str] | None, settings: dict[str, Options], quick: bool) -> dict[str, Contender]:
    known = {name: Contender(name) for name in estimators("from_emg")}
    known.update({name: variant for name, variant in VARIANTS.items() if variant.method in known})
    for name in [*(methods or ()), *settings]:
        if name not in known and name not in {**FULL_SETTINGS, **QUICK_SETTINGS}:
            raise OptionError(f"no method '{name}'. There are: {', '.join(known)}.", where="methods")
    chosen = methods or [name for name in known if not (quick and name in QUICK_LEFT_OUT)]
    return {
        name: Contender(known[name].method, _candidates(known[name], settings.get(name, {}), quick)) for name in chosen
    }


def _candidates(contender: Contender, given: Options, quick: bool) -> tuple[Options, ...]:
    candidates = contender.candidates
    if quick and len(candidates) > 1:
        candidates = tuple(c for c in candidates if c["cutoff_hz"] in QUICK_CUTOFFS_HZ)
    return tuple({**c, **given} for c in candidates)


def _jobs(known: dict[Case, Scores], contenders: dict[str, Contender], quick: bool) -> list[Job]:
    """What is still to be done: one job for each recording; in a quick run the slowest method is one of its own."""
    jobs = []
    for i, (case, scores) in enumerate(known.items()):
        missing = {name: c for name, c in contenders.items() if name not in scores}
        if quick and i == 0 and "lfads" in missing:
            jobs.append((case, {"lfads": missing.pop("lfads")}))
        jobs.append((case, {name: c for name, c in missing.items() if not (quick and i > 0 and name in QUICK_ONCE)}))
    return [job for job in jobs if job[1]]


def _run_all(jobs: list[Job], workers: int | None) -> Iterator[tuple[Case, Scores]]:
    n_workers = min(workers or usable_cores(), len(jobs))
    if n_workers <= 1:
        for job in jobs:
            yield job[0], run_job(*job)
        return
    context = multiprocessing.get_context("spawn")  # forking a process that has started JAX can hang it
    with _one_thread_each(), ProcessPoolExecutor(n_workers, mp_context=context) as pool:
        waiting = {pool.submit(run_job, *job): job for job in jobs}
        try:
            for future in as_completed(waiting):
                yield waiting[future][0], _outcome(future, *waiting[future])
        finally:
            pool.shutdown(cancel_futures=True)


def _outcome(future: Future[Scores], case: Case, contenders: dict[str, Contender]) -> Scores:
    try:
        return future.result()
    except Exception as error:  # the process died: out of memory, or killed
        failed = {"failed": f"{type(error).__name__}: {error}", "seconds": float("nan")}
        return {name: {**_about(case, name, c), **failed} for name, c in contenders.items()}


@contextlib.contextmanager
def _one_thread_each() -> Iterator[None]:
    """Child processes that start in here compute on one thread: several on each core would only wait for each other."""
    wanted = worker_environment()
    before = {name: os.environ.get(name) for name in wanted}
    os.environ.update(wanted)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def _about(case: Case, name: str, contender: Contender) -> dict[str, Any]:
    return {"recording": case.name, **dataclasses.asdict(case), "estimator": name, "key": _key(case, contender)}


def _key(case: Case, contender: Contender) -> str:
    """Changes with whatever decides a score: the scenario, the options, the version."""
    scenario = SCENARIOS[case.scenario].model_dump(mode="json")
    cls = estimators("from_emg")[contender.method]
    all_options = [cls(**candidate).config.model_dump(mode="json") for candidate in contender.candidates]
    decides = [dataclasses.asdict(case), scenario, contender.method, all_options, versions()["myodrive"]]
    return hashlib.sha256(json.dumps(decides, sort_keys=True).encode()).hexdigest()[:16]


def _file(folder: Path, case: Case) -> Path:
    return folder / f"{case.name}.json"


def _kept(folder: Path | None, case: Case) -> Scores:
    """All scores of a recording that earlier runs kept; nothing where there is no file or it is damaged."""
    if folder is None:
        return {}
    nan = {field.name: float("nan") for field in dataclasses.fields(TruthScore)} | {"level": float("nan")}
    try:
        entries = json.loads(_file(folder, case).read_text(encoding="utf-8"))
        return {e["estimator"]: {k: nan.get(k, v) if v is None else v for k, v in e.items()} for e in entries}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return {}


def _known(case: Case, contenders: dict[str, Contender], folder: Path | None) -> Scores:
    """Those that still hold: same recording, options and version. A failure is tried again."""
    kept = _kept(folder, case)
    return {
        name: kept[name]
        for name, contender in contenders.items()
        if name in kept and kept[name].get("key") == _key(case, contender) and "failed" not in kept[name]
    }
