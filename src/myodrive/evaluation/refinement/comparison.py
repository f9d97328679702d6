"""Refined activity beside every simpler correction, on EMG that none of them has learned from."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from jaxtyping import Float

from myodrive.errors import MyodriveError, OptionError
from myodrive.estimator import Estimate, estimators, versions
from myodrive.evaluation.metrics import pearson_r, rmse
from myodrive.evaluation.refinement.folds import HeldOutFold, Span
from myodrive.evaluation.refinement.pairing import Pairs
from myodrive.evaluation.refinement.result import MEASURES, Comparison, Trace
from myodrive.evaluation.truth_result import without_nan
from myodrive.from_simulation.corrections import CorrectionConfig, WarpedMean, lags_within
from myodrive.from_simulation.refinement import AS_IS, Refinement
from myodrive.from_simulation.stdrnet import KinematicsRNN, STDRNet
from myodrive.learning.curves import cycle_spans, place_curve
from myodrive.learning.linear import at_lag
from myodrive.paired import PairedConfig, PairedEstimator, Stretch
from myodrive.recording import Recording, Study, data_hash
from myodrive.safe_write import safe_write_text

MAX_LAG_S = 0.2
NETWORK = STDRNet.method
Options = dict[str, Any]
Step = Callable[[str, int, int], None]


class MeanCurve(WarpedMean):
    """The mean training cycle of the EMG, stretched to each new cycle: what needs no simulation at all."""

    method = "mean-curve"
    length_: float  # of a cycle, in samples

    def _fit_stretches(self, stretches: list[Stretch]) -> None:
        super()._fit_stretches(stretches)
        whole = [b - a for s in stretches for a, b, kind in cycle_spans(s.time, s.starts) if kind == "whole"]
        self.length_ = float(np.mean(whole)) if whole else float(np.mean([s.time.size for s in stretches]))

    def _estimate_stretch(self, stretch: Stretch) -> Estimate:
        return Estimate(place_curve(self.envelope_, stretch.time, stretch.starts, self.length_))


def make_model(method: str, pairs: Pairs, settings: Mapping[str, Options]) -> PairedEstimator:
    """The estimator of a name, with its options; those of the network are of the choice's network as well.

    Raises
    ------
    OptionError
        If there are options of a method that does not exist, or an option makes no sense.
    """
    known = estimators("from_simulation")
    for name in settings:
        if name not in known:
            raise OptionError(f"no method '{name}'. There are: {', '.join(known)}.", where="--set")
    cls = known[method]
    options: Options = dict(settings.get(method, {}))
    if issubclass(cls, Refinement):
        options = {"network": settings.get(NETWORK, {}), **options}
    elif issubclass(cls, KinematicsRNN):
        chain = {n: v for n, v in settings.get(Refinement.method, {}).items() if n in PairedConfig.model_fields}
        options = {**chain, **settings.get(NETWORK, {}), **options}
    if issubclass(cls.Config, CorrectionConfig):
        options = {"pairs": pairs, **options}
    return cls(**options)  # type: ignore[return-value]  # the route has no others


def contenders(method: str, pairs: Pairs, settings: Mapping[str, Options]) -> list[PairedEstimator]:
    """What is learned for the comparison: the method, and beside it what it has to beat."""
    made = make_model(method, pairs, settings)
    if method == AS_IS:
        return [made]
    if method != Refinement.method:
        return [make_model(AS_IS, pairs, settings), made]
    return [made, MeanCurve(**{name: getattr(made.config, name) for name in PairedConfig.model_fields})]


def compare_refinements(
    folds: Sequence[HeldOutFold],
    made: Sequence[PairedEstimator],
    *,
    folder: str | Path | None = None,
    progress: Step = lambda what, done, total: None,
) -> Comparison:
    """Learn every contender without each fold, and score it there.

    Parameters
    ----------
    folds : sequence of HeldOutFold
    made : sequence of PairedEstimator
        From `contenders`. Of a `Refinement` each of its candidates is scored as well, before any choice.
    folder : path, optional
        Keeps the scores of each fold as soon as they are there; a later call does not compute them again.
    progress : callable
    """
    rows: list[dict[str, Any]] = []
    chosen: list[dict[str, Any]] = []
    traces: list[Trace] = []
    for done, fold in enumerate(folds):
        progress(f"without {fold.name}", done, len(folds))
        file = Path(folder) / f"{_key(fold, made)}.json" if folder else None
        found = _kept(file)
        if found is None:
            found = _of_fold(fold, made)
            if file:
                safe_write_text(file, json.dumps(without_nan(found)))
        rows += found["rows"]
        chosen += found["chosen"]
        traces += [Trace.of(kept) for kept in found["traces"]]
    progress("held out", len(folds), len(folds))
    return Comparison(pd.DataFrame(rows).astype(dict.fromkeys(("rmse", "r", "best_r", "lag_s"), float)), chosen, traces)


def all_estimates(model: PairedEstimator, recording: Recording) -> dict[str, xr.DataArray]:
    """What a fitted estimator says (time, muscle), by its name; of a `Refinement` also what each candidate says alone."""
    each = model.estimate_each(recording) if isinstance(model, Refinement) else {}
    return {model.method: model.estimate(recording).activation, **each}


def best_lag(
    estimate: Float[np.ndarray, "time muscle"], truth: Float[np.ndarray, "time muscle"], rate_hz: float
) -> tuple[Float[np.ndarray, " muscle"], Float[np.ndarray, " muscle"]]:
    """The highest correlation within ±`MAX_LAG_S`, and by how much the estimate comes late there, in whole samples.

    The estimate may go on beyond the truth's span, so that a block keeps its samples at every lag.
    """
    late = np.array(lags_within(MAX_LAG_S, rate_hz))
    r = np.stack([pearson_r(at_lag(estimate, -int(k)), truth) for k in late])
    known = np.isfinite(r).any(axis=0)
    best = np.where(np.isfinite(r), r, -np.inf).argmax(axis=0)
    highest = np.take_along_axis(r, best[None], axis=0)[0]
    return np.where(known, highest, np.nan), np.where(known, late[best] / rate_hz, np.nan)


# -- inside ----------------------------------------------------------------------------------------------------------


def _of_fold(fold: HeldOutFold, made: Sequence[PairedEstimator]) -> dict[str, Any]:
    fitted = [model.__sklearn_clone__().fit(fold.train) for model in made]
    measured = fitted[0].measured(fold.test)
    found: dict[str, Any] = {"rows": [], "chosen": [], "traces": []}
    for recording, truth, span, unit in zip(fold.test, measured, fold.spans, fold.units):
        estimates: dict[str, xr.DataArray] = {}
        for model in fitted:
            estimates |= all_estimates(model, recording)
        truth = truth.where((truth.time >= span[0]) & (truth.time < span[1]))
        about = {"unit": unit, "subject": recording.subject, "recording": recording.label}
        found["rows"] += [about | row for row in _scores(estimates, truth, fitted[0].config.rate_hz)]
        found["traces"].append(Trace.make(unit, truth, estimates, span).kept())
    for model in fitted:
        if isinstance(model, Refinement):
            rows = model.choices[["muscle", "chosen", "why"]].to_dict(orient="records")
            found["chosen"] += [{"fold": fold.name, **row} for row in rows]
    return found


def _scores(estimates: Mapping[str, xr.DataArray], truth: xr.DataArray, rate_hz: float) -> list[dict[str, Any]]:
    t = truth.values
    rows = []
    for method, estimate in estimates.items():
        e = estimate.reindex(time=truth.time, method="nearest", tolerance=1e-6).values
        scores = [rmse(e, t), pearson_r(e, t), *best_lag(e, t, rate_hz)]
        for muscle, *values in zip(map(str, truth.muscle.values), *scores):
            rows.append({"muscle": muscle, "method": method, **dict(zip(MEASURES, map(float, values)))})
    return rows


def _key(fold: HeldOutFold, made: Sequence[PairedEstimator]) -> str:
    """Changes with whatever decides the scores of a fold: the data, the options, the version."""

    def of(study: Study, spans: Sequence[Span] = ()) -> list[Any]:
        return [
            [r.subject, *(data_hash(s) for s in r.signals.values()), str(r.events.values.tolist())] for r in study
        ] + [list(map(str, spans))]

    decides = [
        of(fold.train),
        of(fold.test, fold.spans),
        [[model.method, model.config.model_dump(mode="json")] for model in made],
        versions()["myodrive"],
    ]
    return hashlib.sha256(json.dumps(decides, sort_keys=True).encode()).hexdigest()[:16]


def _kept(file: Path | None) -> dict[str, Any] | None:
    """What an earlier run kept; nothing where there is no file or it is damaged."""
    try:
        kept = json.loads(file.read_text(encoding="utf-8")) if file else None
        return kept if kept and {"rows", "chosen", "traces"} <= set(kept) else None
    except (OSError, ValueError, MyodriveError):
        return None
