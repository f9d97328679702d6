"""Every method fitted on the same recordings and scored on the same others, each result kept as soon as it is there."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np
import pandas as pd

from myodrive.errors import MyodriveError, OptionError
from myodrive.estimator import estimators, versions
from myodrive.evaluation.metrics import MonotoneCalibration
from myodrive.evaluation.motion.result import MotionScores, Trace
from myodrive.evaluation.motion.scoring import SUMS, Said, Values, Yardstick, other_repetitions, trial_sums
from myodrive.evaluation.truth_result import without_nan
from myodrive.from_motion.base import MotionEstimator
from myodrive.learning.curves import cycle_spans, place_curve, stretched
from myodrive.recording import Recording, Study, data_hash
from myodrive.safe_write import safe_write_text
from myodrive.trials import to_clock

Options = dict[str, Any]
Step = Callable[[str, int, int], None]
Spans = Mapping[int, Sequence[tuple[float, float]]]  # of a recording, by its index: from when to when, in seconds
COMMON = ("motion", "conditioning")  # options that go to every method
N_TRACE = 1  # trials of each test whose curves are kept for the report


@dataclasses.dataclass(frozen=True)
class Test:
    """What a fitted model is scored on, by indices of the study, and what it is adapted to before."""

    condition: str
    recordings: tuple[int, ...]
    adapt: tuple[int, ...] = ()
    seconds: float = 0.0  # of `adapt`

    __test__ = False  # it is none of pytest's


@dataclasses.dataclass(frozen=True)
class Fit:
    """What is learned from, by indices of the study, and everything that this is tested on.

    Parameters
    ----------
    name : str
    train : tuple of int
    tests : tuple of Test
    choose_on : "repetition", "movement" or "group"
        What is held out inside the training data by a method that chooses parameters there: as in the tests.
    motion : dict
        Of `MotionOptions`: what the methods read of a movement.
    pieces : bool
        Learn and estimate each span of `compare_methods` alone.
    yardstick : tuple of int
        Recordings whose mean and maximum the scores are relative to, where that are not those of `train`.
    """

    name: str
    train: tuple[int, ...]
    tests: tuple[Test, ...]
    choose_on: str = "group"
    motion: Options = dataclasses.field(default_factory=dict)
    pieces: bool = False
    yardstick: tuple[int, ...] = ()


def make_model(method: str, settings: Mapping[str, Options], fit: Fit | None = None) -> MotionEstimator:
    """The estimator of a name with its options; those named "motion" and "conditioning" go to every method.

    Raises
    ------
    OptionError
        If there are options of a method that does not exist, or an option makes no sense.
    """
    known = estimators("from_motion")
    for name in (method, *settings):
        if name not in known and name not in COMMON:
            raise OptionError(f"no method '{name}'. There are: {', '.join(known)}.", where="--method")
    cls = known[method]
    options = {**{name: settings[name] for name in COMMON if name in settings}, **settings.get(method, {})}
    if fit is not None:
        options["motion"] = {**options.get("motion", {}), **fit.motion}
        if "choose_on" in cls.Config.model_fields:
            options = {"choose_on": fit.choose_on, **options}
    return cast(MotionEstimator, cls(**options))


def compare_methods(
    study: Study,
    fits: Sequence[Fit],
    methods: Sequence[str],
    settings: Mapping[str, Options] | None = None,
    *,
    spans: Spans | None = None,
    folder: str | Path | None = None,
    progress: Step = lambda what, done, total: None,
) -> MotionScores:
    """Fit every method as often as asked, and score it on every test.

    Estimates are held against the signal ``activation`` where every recording has it, through one rising curve a muscle
    that is fitted on the training recordings; else against the measured envelopes as they are.

    Parameters
    ----------
    study : Study
    fits : sequence of Fit
        Those that learn the same stand behind each other, so that it is learned once.
    methods : sequence of str
    settings : mapping, optional
        Options of methods.
    spans : mapping, optional
        Of each recording the spans that alone are scored; a `Fit` with ``pieces`` also learns them alone.
    folder : path, optional
        Keeps fitted models and scores as soon as they are there; a later call does not compute them again.
    progress : callable
    """
    bench = _Bench(study, dict(settings or {}), spans, Path(folder) if folder else None)
    for method in methods:
        for fit in fits:
            make_model(method, bench.settings, fit)  # a wrong option is refused before anything is computed
    found: list[dict[str, Any]] = []
    total = len(fits) * len(methods)
    for done, (fit, method) in enumerate((f, m) for f in fits for m in methods):
        progress(f"{method}: {fit.name}", done, total)
        found += bench.run(fit, method)
    progress("scored", total, total)
    rows = pd.concat([pd.DataFrame(f["rows"]) for f in found], ignore_index=True)
    return MotionScores(
        rows.astype(dict.fromkeys(SUMS, float)), [Trace(**t) for f in found for t in f["traces"]], bench.against
    )


TEXTS = ("condition", "fold", "method", "subject", "movement", "repetition", "kind")  # of a row, before the muscle


def kind_of(recording: Recording) -> str:
    """What kind of movement it is, where a scenario says so: "single-joint" or "multi-joint"; else ""."""
    return str(recording.info.get("kind", recording.info.get("truth", {}).get("kind", "")))


# -- inside ----------------------------------------------------------------------------------------------------------


class _Bench:
    """One comparison: the recordings with their features, the model that was fitted last, and what is kept on disk."""

    def __init__(self, study: Study, settings: dict[str, Options], spans: Spans | None, folder: Path | None) -> None:
        self.study, self.settings, self.spans, self.folder = study, settings, spans, folder
        self.known = all("activation" in recording for recording in study)
        self.against = "the true activation" if self.known else "measured envelopes"
        self.hashes: dict[int, str] = {}
        self.features: dict[int, Recording] = {}
        self.truths: dict[tuple[int, float], Values] = {}
        self.fitted: dict[str, tuple[tuple[str, tuple[int, ...]], _Fitted]] = {}  # of each method the last one

    def run(self, fit: Fit, method: str) -> list[dict[str, Any]]:
        """The rows and traces of every test of a fit."""
        blank = make_model(method, self.settings, fit)
        learned = self._key(blank, fit)
        found = []
        for test in fit.tests:
            file = self._file(f"{self._key_of_test(learned, fit, test)}.json")
            kept = _kept(file)
            if kept is None:
                kept = self._test(fit, test, self._learned(blank, fit, learned))
                if file:
                    safe_write_text(file, json.dumps(without_nan(kept)))
            found.append(kept)
        return found

    # -- learning

    def _learned(self, blank: MotionEstimator, fit: Fit, key: str) -> _Fitted:
        measure = fit.yardstick or fit.train
        asked = key, measure
        if blank.method in self.fitted and self.fitted[blank.method][0] == asked:
            return self.fitted[blank.method][1]
        self.reader = blank
        place = self._file(f"model-{key}")
        model = _loaded(blank, place)
        if model is None:
            model = blank.fit(Study(self._for_learning(fit)))
            if place:
                model.save(place)
        truths = self._truths(model, measure)
        fitted = _Fitted(model, self._curves(model, fit), Yardstick.of([truths[i] for i in measure]))
        self.fitted[blank.method] = asked, fitted
        return fitted

    def _for_learning(self, fit: Fit) -> list[Recording]:
        whole = [self._recording(i) for i in fit.train]
        if not fit.pieces:
            return whole
        return [piece for i, r in zip(fit.train, whole) for piece in _pieces(r, self._spans(i))]

    def _curves(self, model: MotionEstimator, fit: Fit) -> MonotoneCalibration | None:
        if not self.known:
            return None
        said, truths = self._said(model, fit.train, fit.pieces), self._truths(model, fit.train)
        together = [np.concatenate([v[i] for i in fit.train]) for v in ({i: s.mean for i, s in said.items()}, truths)]
        return MonotoneCalibration.fit(*together)

    # -- scoring

    def _test(self, fit: Fit, test: Test, fitted: _Fitted) -> dict[str, Any]:
        model = fitted.model
        self.reader = model
        if test.adapt:
            model = model.adapt(Study([self._recording(i) for i in test.adapt]), seconds=test.seconds)
        people = {self.study[i].subject for i in test.recordings}
        truths = self._truths(model, [i for i, r in enumerate(self.study) if r.subject in people])
        curves = self._mean_curves(model, test.recordings, truths)
        said = self._said(model, test.recordings, fit.pieces)
        rows: dict[str, list[Any]] = {}
        traces: list[Trace] = []
        for i in test.recordings:
            recording, truth = self.study[i], truths[i]
            estimate = said[i].through(fitted.curves) if fitted.curves else said[i]
            if self.spans is not None:
                truth = np.where(_inside(model._clock(self._recording(i)), self._spans(i))[:, None], truth, np.nan)
            sums = trial_sums(estimate, truth, curves[i], fitted.yardstick)
            who = (recording.subject, recording.movement, recording.repetition, kind_of(recording))
            about = (test.condition, fit.name, model.method, *who)
            for name, value in zip(TEXTS, about):
                rows.setdefault(name, []).extend([value] * len(model.muscles_))
            rows.setdefault("muscle", []).extend(model.muscles_)
            for name, values in sums.items():
                rows.setdefault(name, []).extend(values.tolist())
            if len(traces) < N_TRACE:
                clock = model._clock(self._recording(i))
                traces.append(Trace.make(about, recording.label, clock, model.muscles_, truth, estimate))
        return {"rows": rows, "traces": [dataclasses.asdict(t) for t in traces]}

    def _said(self, model: MotionEstimator, indices: Sequence[int], pieces: bool) -> dict[int, Said]:
        if not pieces:
            return {i: Said(*model.estimate_values(self._recording(i))) for i in indices}
        found = {}
        for i in indices:
            clock = model._clock(self._recording(i))
            joined = np.full((3, clock.size, len(model.muscles_)), np.nan)
            for piece in _pieces(self._recording(i), self._spans(i)):
                place = np.searchsorted(clock, model._clock(piece) - 1e-6)
                joined[:, place] = model.estimate_values(piece)
            found[i] = Said(*joined)
        return found

    def _truths(self, model: MotionEstimator, indices: Sequence[int]) -> dict[int, Values]:
        """What estimates are held against, on the model's clock."""
        if not self.known:
            measured = model.measured(Study([self._recording(i) for i in indices]))
            return {i: m.values for i, m in zip(indices, measured)}
        for i in indices:
            if (i, model.config.rate_hz) not in self.truths:
                true = self.study[i]["activation"].sel(muscle=model.muscles_)
                placed = to_clock(true.values, true.time.values, model._clock(self._recording(i)))
                self.truths[i, model.config.rate_hz] = placed
        return {i: self.truths[i, model.config.rate_hz] for i in indices}

    def _mean_curves(
        self, model: MotionEstimator, indices: Sequence[int], truths: Mapping[int, Values]
    ) -> dict[int, Values]:
        """For each trial the mean curve of the same person's other trials of the movement, placed in its cycles."""
        groups: dict[tuple[str, str], list[int]] = {}
        for i in truths:
            groups.setdefault((self.study[i].subject, self.study[i].movement), []).append(i)
        placed = {}
        wanted = set(indices)
        for group in groups.values():
            if not wanted & set(group):
                continue
            clocks = [model._clock(self._recording(i)) for i in group]
            starts = [model._starts(self._recording(i)) for i in group]
            spans = [
                [(a, b) for a, b, kind in cycle_spans(c, s) if kind == "whole"] or [(0, c.size)]
                for c, s in zip(clocks, starts)
            ]
            own = [np.mean([stretched(truths[i][a:b]) for a, b in s], axis=0) for i, s in zip(group, spans)]
            length = float(np.mean([b - a for s in spans for a, b in s]))
            for i, curve, clock, start in zip(group, other_repetitions(np.stack(own)), clocks, starts):
                if i in wanted:
                    placed[i] = place_curve(curve, clock, start, length)
        return placed

    # -- recordings

    def _recording(self, i: int) -> Recording:
        """With the features that the model reads which is at work: computed once as long as the next one reads the same."""
        self.features[i] = self.reader._with_inputs(self.features.get(i, self.study[i]))
        return self.features[i]

    def _spans(self, i: int) -> Sequence[tuple[float, float]]:
        return (self.spans or {}).get(i, ())

    # -- what is kept

    def _file(self, name: str) -> Path | None:
        return self.folder / name if self.folder else None

    def _hash(self, i: int) -> str:
        if i not in self.hashes:
            r = self.study[i]
            self.hashes[i] = "|".join([r.subject, r.movement, r.repetition, data_hash(*r.signals.values())])
        return self.hashes[i]

    def _key(self, blank: MotionEstimator, fit: Fit) -> str:
        """Changes with whatever decides what is learned."""
        pieces = [[list(s) for s in self._spans(i)] for i in fit.train] if fit.pieces else []
        about = [blank.method, blank.config.model_dump(mode="json"), versions()["myodrive"], pieces]
        return _digest([*about, *(self._hash(i) for i in fit.train)])

    def _key_of_test(self, learned: str, fit: Fit, test: Test) -> str:
        spans = [list(map(list, self._spans(i))) for i in test.recordings] if self.spans is not None else []
        sides = [[self._hash(i) for i in side] for side in (test.recordings, test.adapt, fit.yardstick)]
        people = {self.study[i].subject for i in test.recordings}  # their other trials give the mean curves
        rest = [self._hash(i) for i, r in enumerate(self.study) if r.subject in people]
        return _digest([learned, test.condition, fit.name, test.seconds, spans, *sides, rest, self.known])


@dataclasses.dataclass(frozen=True)
class _Fitted:
    model: MotionEstimator
    curves: MonotoneCalibration | None  # from estimate to truth
    yardstick: Yardstick


def _pieces(recording: Recording, spans: Sequence[tuple[float, float]]) -> list[Recording]:
    return [
        recording.replace(signals={n: s.sel(time=slice(a - 1e-9, b + 1e-9)) for n, s in recording.signals.items()})
        for a, b in spans
    ]


def _inside(clock: np.ndarray, spans: Sequence[tuple[float, float]]) -> np.ndarray:
    inside = np.zeros(clock.size, dtype=bool)
    for a, b in spans:
        inside |= (clock >= a - 1e-9) & (clock <= b + 1e-9)
    return inside


def _digest(content: list[Any]) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]


def _kept(file: Path | None) -> dict[str, Any] | None:
    """What an earlier run kept; nothing where there is no file or it is damaged."""
    try:
        kept = json.loads(file.read_text(encoding="utf-8")) if file else None
        return kept if kept and {"rows", "traces"} <= set(kept) else None
    except (OSError, ValueError):
        return None


def _loaded(blank: MotionEstimator, place: Path | None) -> MotionEstimator | None:
    if place is None or not place.is_dir():
        return None
    try:
        return type(blank).load(place)
    except MyodriveError:
        return None
