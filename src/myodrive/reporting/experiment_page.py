"""The report of an experiment: its question, the table, the figures, and what the result supports and what it does not."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from markupsafe import Markup

from myodrive.errors import OptionError
from myodrive.evaluation.experiments import ExperimentResult
from myodrive.evaluation.experiments.contract import Panel
from myodrive.evaluation.experiments.result import TRUTH, say
from myodrive.reporting.page import Table, colours, fill_template
from myodrive.reporting.svg import Dot, Line, dot_chart, line_chart
from myodrive.safe_write import holds_other, safe_write_folder, safe_write_text

EFFECTS = {True: "with the effect", False: "without it", None: ""}
REPORT, FINDINGS = "report.html", "result.json"


def write_experiment(result: ExperimentResult, folder: str | Path) -> Path:
    """Write ``report.html`` and ``result.json`` into a folder, which appears whole or not at all.

    Returns
    -------
    Path
        Of the report.
    """

    def fill(target: Path) -> None:
        safe_write_text(target / REPORT, render_experiment(result))
        safe_write_text(target / FINDINGS, result.to_json())

    return safe_write_folder(folder, fill) / REPORT


def refuse_foreign_experiment(folder: Path) -> None:
    """Raise `OptionError` where the results would replace what no earlier experiment wrote."""
    if holds_other(folder, FINDINGS):
        raise OptionError(
            "is there already and holds something other than an earlier experiment.",
            where=str(folder),
            remedy="Choose another folder with --out.",
        )


def render_experiment(result: ExperimentResult) -> str:
    """The page as text."""
    styles = {m: f"m{c}" for m, c in colours([m for m in result.methods if m != TRUTH]).items()} | {TRUTH: "truth"}
    return fill_template(
        "experiment.html.j2",
        experiment=result.experiment,
        verdict=result.verdict,
        styles={m: s for m, s in styles.items() if m in result.methods},
        tables=[_scores(result), *([_differences(result)] if len(result.comparisons) else [])],
        charts=[c for panel in result.experiment.panels if (c := _curves(result, panel, styles))],
        dots=_dots(result, styles),
        failed=[(row["method"], row["why"]) for row in result.rows if row["why"]],
    )


def _scores(result: ExperimentResult) -> Table:
    heads = ["", "", "found", *result.experiment.measures, "CPU s"]
    rows = [
        [
            row["method"],
            EFFECTS[row["effect"]],
            f"{row['found']} of {row['n']}",
            *(say(row[m], row[f"{m}_sd"]) for m in result.experiment.measures),
            f"{row['seconds']:.1f}",
        ]
        for row in result.rows
    ]
    return Table("Mean ± standard deviation over recordings", heads, rows)


def _differences(result: ExperimentResult) -> Table:
    heads = ["", "against", "measure", "n", "difference", "95 % interval", "p (Holm)", "of each"]
    rows = [
        [
            row["method"],
            row["reference"],
            row["measure"],
            str(row["n"]),
            f"{row['mean_difference']:+.3g}",
            f"{row['lower']:+.3g} to {row['upper']:+.3g}" if row["n"] > 1 else "",
            say(row["p_holm"]),
            " ".join(f"{d:+.2g}" for d in row["differences"].values()) if not np.isfinite(row["p_holm"]) else "",
        ]
        for row in result.comparisons.to_dict(orient="records")
    ]
    return Table("Paired differences over subjects", heads, rows)


def _curves(result: ExperimentResult, panel: Panel, styles: Mapping[str, str]) -> Markup | None:
    """The mean curve of each method over the recordings that have the effect, with one standard deviation."""
    lines, tops = [], []
    for method in result.methods:
        own = [
            curve
            for entry in result.entries
            if entry["method"] == method and entry["effect"] is not False
            for curve in entry.get("curves", [])
            if curve["panel"] == panel.title
        ]
        if not own:
            continue
        x, y = np.array(own[0]["x"]), np.array([c["y"] for c in own], dtype=np.float64)
        mean, sd = y.mean(axis=0), y.std(axis=0)
        lines.append(Line(x, mean, styles[method], mean - sd, mean + sd))
        if all(c["level"] for c in own):
            lines.append(Line(x, np.mean([c["level"] for c in own], axis=0), f"level {styles[method]}"))
        tops.append((float((mean - sd).min()), float((mean + sd).max())))
    if not lines:
        return None
    low, high = min(0.0, *(t[0] for t in tops)), max(t[1] for t in tops)
    return line_chart(
        panel.title, lines, x_label=panel.x_label, y_label=panel.y_label, x_range=panel.x_range,
        y_range=(max(low, -1.0), 1.05 * high if high > 0 else 1.0),
    )  # fmt: skip


def _dots(result: ExperimentResult, styles: Mapping[str, str]) -> list[Markup]:
    """For each measure, every method with its range over recordings."""
    charts = []
    for measure in result.experiment.measures:
        dots = []
        for row in result.rows:
            chosen = [e for e in result.entries if e["method"] == row["method"] and e["effect"] == row["effect"]]
            values = np.array([e["measures"][measure] for e in chosen if "measures" in e], dtype=np.float64)
            dots.append(_dot(row, values[np.isfinite(values)], styles))
        ends = np.array([(d.low, d.high) for d in dots]).ravel()
        ends = ends[np.isfinite(ends)]
        if ends.size:
            low, high = min(max(float(ends.min()), -1.0), 0.0), max(float(ends.max()), 0.0)
            charts.append(dot_chart(measure.replace("_", " "), dots, (low, high if high > low else 1.0)))
    return charts


def _dot(row: dict[str, Any], values: np.ndarray, styles: Mapping[str, str]) -> Dot:
    low, middle, high = np.quantile(values, [0.0, 0.5, 1.0]) if values.size else (np.nan,) * 3
    label = row["method"] + ("" if row["effect"] is not False else ", without")
    return Dot(label, float(middle), float(low), float(high), styles[row["method"]], say(float(middle)))
