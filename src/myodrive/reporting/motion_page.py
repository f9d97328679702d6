"""The reports of activity from movement: of a training, of what was estimated, of an experiment; and their folders."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from markupsafe import Markup

from myodrive.evaluation.motion.experiments import REFERENCE, MotionFindings, between
from myodrive.evaluation.motion.job import Prediction, Training
from myodrive.evaluation.motion.result import HEADS, MotionScores, Trace, cells_of
from myodrive.evaluation.motion.scoring import MEASURES
from myodrive.evaluation.truth_result import without_nan
from myodrive.io import write
from myodrive.reporting.page import Table, colours
from myodrive.reporting.parts import Part, render_parts
from myodrive.reporting.results_folder import file_stems
from myodrive.reporting.svg import Dot, Line, dot_chart, line_chart
from myodrive.reporting.words import plural
from myodrive.safe_write import safe_write_folder, safe_write_text

EYEBROW = "Muscle activity from movement"
REPORT, TRAINING, PREDICTION, FINDINGS = "report.html", "train.json", "predict.json", "result.json"
MOST_TRIALS = 6  # whose curves are drawn, of each condition two
MOST_RECORDINGS = 12
PUBLISHED = [
    "Schmidt MD, Glasmachers T, Iossifidis I (2026) Sci Rep. doi:10.1038/s41598-025-33696-y",
    "Schmidt MD, Glasmachers T, Iossifidis I (2023) BioMed Eng OnLine 22. doi:10.1186/s12938-023-01116-9",
]


def write_training(result: Training, folder: str | Path) -> Path:
    """Write the model, its scores, `train.json` and the report into a folder, which appears whole or not at all."""

    def fill(target: Path) -> None:
        result.model.save(target / "model")
        if result.scores is not None:
            safe_write_text(target / "scores.csv", result.scores.rows.to_csv(index=False))
        found = result.scores.content() if result.scores else {}
        safe_write_text(target / TRAINING, _json({**result.run, **found, "verdict": result.verdict}))
        safe_write_text(target / REPORT, render_training(result))

    return safe_write_folder(folder, fill) / REPORT


def write_prediction(result: Prediction, folder: str | Path, formats: Sequence[str] = ()) -> Path:
    """Write the activation of each recording, `predict.json` and the report into a folder, whole or not at all."""

    def fill(target: Path) -> None:
        for stem, activation in zip(file_stems(result.recordings), result.activations):
            for suffix in ("nc", *formats):
                write(activation, target / f"{stem}.{activation.method}.{suffix}")
        safe_write_text(target / PREDICTION, _json(result.run))
        safe_write_text(target / REPORT, render_prediction(result))

    return safe_write_folder(folder, fill) / REPORT


def write_motion_findings(found: MotionFindings, folder: str | Path) -> Path:
    """Write ``report.html``, ``scores.csv`` and ``result.json`` of an experiment into a folder, whole or not at all."""

    def fill(target: Path) -> None:
        safe_write_text(target / "scores.csv", found.scores.rows.to_csv(index=False))
        safe_write_text(target / REPORT, render_motion_findings(found))
        safe_write_text(target / FINDINGS, found.to_json())

    return safe_write_folder(folder, fill) / REPORT


def render_training(result: Training) -> str:
    """The page of `myodrive train` as text."""
    people = len(set(result.model.normalisations_))
    lead = (
        f"{result.model.method}, learned from {plural(result.model.n_training_, 'recording')} of "
        f"{people} {'person' if people == 1 else 'people'}: {', '.join(result.model.muscles_)}."
    )
    return render_parts(
        EYEBROW,
        "A model from movement",
        lead,
        result.verdict,
        parts_of(result.scores) if result.scores is not None else [],
        methods=[result.model.methods_text()],
        options={result.model.method: result.run["options"]},
        references=[*result.model.references, *PUBLISHED],
    )


def render_prediction(result: Prediction) -> str:
    """The page of `myodrive predict` as text."""
    notes = list(dict.fromkeys(note for a in result.activations for note in a.notes))
    refused = [f"Left out: {why}" for why in result.refused]
    charts = [
        chart
        for recording, activation in list(zip(result.recordings, result.activations))[:MOST_RECORDINGS]
        for chart in _estimates(recording.label, activation)
    ]
    rest = len(result.recordings) - MOST_RECORDINGS
    hint = "Estimate with its interval, over time (s)." + (f" {rest} more are in the folder." if rest > 0 else "")
    return render_parts(
        EYEBROW,
        "Estimated from movement",
        f"{plural(len(result.recordings), 'recording')}, {plural(len(result.model.muscles_), 'muscle')}.",
        [*refused, *notes] or ["Nothing was refused, and nothing lies outside what was trained on."],
        [Part("Activity", hint, {}, charts)],
        methods=[result.model.methods_text()],
        options={result.model.method: result.run["options"]},
        references=result.model.references,
    )


def render_motion_findings(found: MotionFindings) -> str:
    """The page of an experiment as text."""
    contrasts = between(found.scores, found.contrasts)
    parts = parts_of(found.scores)
    if len(contrasts):
        rows = [
            [f"{row['condition']} − {row['reference']}", row["method"], *_difference(row)] for row in _rows(contrasts)
        ]
        heads = ["", "method", *DIFFERENCE]
        parts.insert(1, Part("What was asked", "R², paired over people.", tables=[Table("", heads, rows)]))
    return render_parts(
        EYEBROW,
        found.experiment.name,
        found.experiment.question,
        found.verdict,
        parts,
        methods=["Every method learned from the other recordings alone, and chose its own parameters inside them."],
        options=found.options,
        references=PUBLISHED,
    )


def parts_of(scores: MotionScores) -> list[Part]:
    """Scores, differences to the mean curve, muscles, kinds of movement and curves."""
    styles = {m: f"m{c}" for m, c in colours(scores.methods).items()}
    measures = "; ".join(f"{HEADS[m]}: {words}" for m, words in MEASURES.items())
    table = Table("", ["", "method", *HEADS.values()], cells_of(scores.summary))
    charts = [_dots(scores, condition, styles) for condition in scores.conditions]
    hint = f"Held against {scores.against}. Dots: the median person, and the range over people. {measures}."
    parts = [Part("Scores on recordings that were not learned from", hint, styles, charts, [table])]
    beside = scores.between_methods(REFERENCE)
    if len(beside):
        rows = [[row["condition"], row["method"], *_difference(row)] for row in _rows(beside)]
        tables = [Table("R² minus that of the mean curve, paired over people", ["", "method", *DIFFERENCE], rows)]
        parts.append(Part("Beside the mean curve, which needs no movement", tables=tables))
    parts.append(Part("Muscle by muscle", "R².", tables=[_by_muscle(scores)]))
    if len(scores.by_kind):
        kinds = scores.by_kind.assign(condition=scores.by_kind["kind"] + ": " + scores.by_kind["condition"])
        rows = cells_of(kinds)
        parts.append(Part("By kind of movement", tables=[Table("", ["", "method", *HEADS.values()], rows)]))
    charts = _curves(scores.traces, styles)
    key = {"truth" if "true" in scores.against else "measured": "truth", **styles}
    return [*parts, Part("Held-out trials", "Over time (s).", key, charts)] if charts else parts


DIFFERENCE = ("n", "difference", "95 % interval", "p (Holm)", "of each")


# -- inside ----------------------------------------------------------------------------------------------------------


def _difference(row: Mapping[str, Any]) -> list[str]:
    each = " ".join(f"{d:+.3f}" for d in row["differences"].values()) if row["n"] <= 20 else ""
    interval = f"{row['lower']:+.3f} to {row['upper']:+.3f}" if row["n"] > 1 else ""
    p = f"{row['p_holm']:.2g}" if np.isfinite(row["p_holm"]) else ""
    return [str(row["n"]), f"{row['mean_difference']:+.3f}", interval, p, each]


def _rows(table: pd.DataFrame) -> list[dict[str, Any]]:
    return [{str(k): v for k, v in row.items()} for row in table.to_dict(orient="records")]


def _dots(scores: MotionScores, condition: str, styles: Mapping[str, str]) -> Markup:
    """R² of every method: the median person with the range over people."""
    wide = scores.by_subject("r2")[condition]
    dots = []
    for method in (m for m in scores.methods if m in wide):
        values = wide[method].dropna().to_numpy()
        low, middle, high = np.quantile(values, [0.0, 0.5, 1.0]) if values.size else (np.nan,) * 3
        dots.append(Dot(method, float(middle), float(low), float(high), styles[method], f"{middle:.2f}"))
    # A hopeless R² of −7 would leave no room to tell the others apart.
    low = min(0.0, *(d.low for d in dots if np.isfinite(d.low)), 0.0)
    return dot_chart(condition, dots, (max(low, -1.0), 1.0))


def _by_muscle(scores: MotionScores) -> Table:
    wide = scores.by_muscle.pivot(index=["condition", "method"], columns="muscle", values="r2")
    muscles = list(dict.fromkeys(scores.rows["muscle"]))
    rows = []
    for condition in scores.conditions:
        for method in scores.methods:
            if (condition, method) in wide.index:
                own: Any = wide.loc[(condition, method)]
                rows.append([condition, method, *(f"{own[m]:.2f}" if np.isfinite(own[m]) else "" for m in muscles)])
    return Table("", ["", "method", *muscles], rows)


def _curves(traces: Sequence[Trace], styles: Mapping[str, str]) -> list[Markup]:
    """The first trials of each condition: the truth, every method, and the interval of the last one."""
    trials: dict[tuple[str, str], list[Trace]] = {}
    for trace in traces:
        trials.setdefault((trace.condition, trace.trial), []).append(trace)
    charts = []
    for (condition, trial), own in list(trials.items())[:MOST_TRIALS]:
        time = np.array(own[0].time)
        for muscle, curves in own[0].curves.items():
            lines = [Line(time, _values(curves["truth"]), "truth")]
            for trace in own:
                said = trace.curves[muscle]
                low, high = _values(said["lower"]), _values(said["upper"])
                banded = trace is own[-1] and np.isfinite(low).any()
                band = (low, high) if banded else (None, None)
                lines.append(Line(time, _values(said["estimate"]), styles[trace.method], *band))
            charts.append(_chart(f"{condition}, {trial}: {muscle}", lines))
    return charts


def _estimates(label: str, activation: Any) -> list[Markup]:
    time = activation.activation.time.values
    charts = []
    for muscle in activation.muscles:
        mean, low, high = (
            signal.sel(muscle=muscle).values for signal in (activation.activation, activation.lower, activation.upper)
        )
        if np.isfinite(mean).any():
            band = (low, high) if np.isfinite(low).any() else (None, None)
            charts.append(_chart(f"{label}: {muscle}", [Line(time, mean, "m1", *band)]))
    return charts


def _chart(heading: str, lines: Sequence[Line]) -> Markup:
    known = np.concatenate([v[np.isfinite(v)] for line in lines for v in (line.y, line.high) if v is not None])
    top = float(known.max()) if known.size else 1.0
    x_range = float(lines[0].x[0]), float(lines[0].x[-1])
    return line_chart(heading, lines, x_label="s", x_range=x_range, y_range=(0.0, 1.05 * (top or 1.0)))


def _values(values: Sequence[float | None]) -> np.ndarray:
    return np.array([np.nan if v is None else v for v in values])


def _json(content: dict[str, Any]) -> str:
    return json.dumps(without_nan(content), indent=1)
