"""The report of refined activity: what was chosen and why, the scores on held-out EMG, and the curves; and its folder."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from markupsafe import Markup

from myodrive.evaluation.refinement.experiments import RefinementFindings
from myodrive.evaluation.refinement.job import RefineResult
from myodrive.evaluation.refinement.result import AS_IS, MEASURES, NETWORK, REFINED, Comparison, Trace, title
from myodrive.evaluation.truth_result import without_nan
from myodrive.io import write
from myodrive.reporting.page import Table
from myodrive.reporting.parts import Part, render_parts
from myodrive.reporting.results_folder import check_results_folder, file_stems
from myodrive.reporting.svg import Dot, Line, dot_chart, line_chart
from myodrive.reporting.words import number, plural
from myodrive.safe_write import safe_write_folder, safe_write_text

EYEBROW = "Refined muscle activity"
STYLES = {"measured": "truth", AS_IS: "raw", NETWORK: "m0", REFINED: "m1"}
OTHER = "m7"  # colour of the methods that have none of their own
MOST_PARTS = 12  # of held-out parts, and of recordings, whose curves are drawn
RUN, REPORT, MODEL = "refine.json", "report.html", "model"


def write_refinement(result: RefineResult, folder: str | Path, formats: Sequence[str] = ()) -> Path:
    """Write activations, model, tables, `refine.json` and the report into a folder, which appears whole or not at all.

    Raises
    ------
    OptionError
        See `check_results_folder`.
    """
    check_results_folder(folder, RUN, formats)

    def fill(target: Path) -> None:
        stems = file_stems(result.recordings)
        for stem, activation in [*zip(stems, result.activations), *zip(stems, result.within_torques)]:
            if activation:
                for suffix in ("nc", *formats):
                    write(activation, target / f"{stem}.{activation.method}.{suffix}")
        result.model.save(target / MODEL)
        if len(result.choices):
            safe_write_text(target / "choices.csv", result.choices.to_csv(index=False))
        if result.comparison:
            safe_write_text(target / "scores.csv", result.comparison.rows.to_csv(index=False))
        found = result.comparison.content() if result.comparison else {}
        content = {
            **result.run,
            "torques": result.torques.to_dict(orient="records"),
            **found,
            "verdict": result.verdict,
        }
        safe_write_text(target / RUN, json.dumps(without_nan(content), indent=1))
        safe_write_text(target / REPORT, render_refinement(result))

    return safe_write_folder(folder, fill) / REPORT


def write_findings(found: RefinementFindings, folder: str | Path) -> Path:
    """Write ``report.html`` and ``result.json`` of an experiment into a folder, which appears whole or not at all."""

    def fill(target: Path) -> None:
        safe_write_text(target / REPORT, render_findings(found))
        safe_write_text(target / "result.json", found.to_json())

    return safe_write_folder(folder, fill) / REPORT


def render_refinement(result: RefineResult) -> str:
    """The page of `myodrive refine` as text."""
    parts = [_choices(result)] if len(result.choices) else []
    if result.comparison:
        parts += _of_comparison(result.comparison)
    if len(result.torques):
        parts.append(_torques(result.torques))
    lead = (
        f"{plural(len(result.recordings), 'recording')} with simulated activity; {plural(len(result.model.muscles_), 'muscle')}, "
        f"learned from {plural(result.model.n_training_, 'recording')} with EMG."
    )
    return render_parts(
        EYEBROW,
        "Simulated activity, refined",
        lead,
        result.verdict,
        [*parts, _estimates(result)],
        methods=[result.model.methods_text()],
        options={result.model.method: result.run["options"]},
        references=result.model.references,
    )


def render_findings(found: RefinementFindings) -> str:
    """The page of an experiment as text."""
    return render_parts(
        EYEBROW,
        found.experiment.name,
        found.experiment.question,
        found.verdict,
        _of_comparison(found.comparison),
        methods=[
            "Every method learned from the other parts alone; the refinement made its choice among folds of those."
        ],
        options=found.options,
        references=["Teramae T et al. (2025) Front Bioeng Biotechnol 13. doi:10.3389/fbioe.2025.1611414"],
    )


# -- inside ----------------------------------------------------------------------------------------------------------


def _choices(result: RefineResult) -> Part:
    choices = result.choices
    candidates = [c.removeprefix("rmse ") for c in choices.columns if c.startswith("rmse ")]
    rows = [
        [
            row["muscle"],
            row["chosen"],
            *(f"{number(row[f'rmse {c}'])} / {number(row[f'r {c}'], 2)}" for c in candidates),
        ]
        for row in choices.to_dict(orient="records")
    ]
    table = Table("Error / correlation on validation folds of the training data", ["", "chosen", *candidates], rows)
    return Part("What was chosen for each muscle", tables=[table], prose=result.reasons)


def _of_comparison(comparison: Comparison) -> list[Part]:
    tables = [Table(title(measure), ["", *comparison.methods], comparison.cells(measure)) for measure in MEASURES]
    hint = f"Median over {plural(len(comparison.units), 'held-out part')}: {', '.join(comparison.units)}."
    scores = Part("Scores on EMG that was not learned from", hint, charts=_dots(comparison), tables=tables)
    found = [scores, Part("Against the simulation as it is", _DIFFERENCES, tables=_differences(comparison))]
    shown = comparison.traces[:MOST_PARTS]
    if not shown:
        return found
    rest = len(comparison.traces) - len(shown)
    note = f" {rest} more are not drawn." if rest else ""
    charts = [chart for trace in shown for chart in _curves(trace)]
    return [*found, Part("Held-out parts", f"Envelopes over time (s).{note}", STYLES, charts)]


_DIFFERENCES = (
    "Method minus simulation, paired over held-out parts: median (mean, 95 % interval; better in so many). "
    "Errors should fall, correlations rise."
)


def _dots(comparison: Comparison) -> list[Markup]:
    """For each muscle the error of every method, with the range over held-out parts."""
    charts = []
    for muscle in comparison.muscles:
        wide = comparison.by_unit("rmse", muscle)
        dots = []
        for method in comparison.methods:
            values = wide[method].dropna().to_numpy()
            low, middle, high = np.quantile(values, [0.0, 0.5, 1.0]) if values.size else (math.nan,) * 3
            note = f"{middle:.2f}" if values.size else ""
            dots.append(Dot(method, float(middle), float(low), float(high), STYLES.get(method, OTHER), note))
        highest = max((d.high for d in dots if math.isfinite(d.high)), default=1.0)
        charts.append(dot_chart(f"{muscle}: error", dots, (0.0, highest or 1.0)))
    return charts


def _differences(comparison: Comparison) -> list[Table]:
    table = comparison.differences
    if table.empty:
        return []
    found = []
    for measure in ("rmse", "r", "best_r"):
        own = table[table["measure"] == measure]
        methods = [m for m in comparison.methods if m in set(own["method"])]
        rows = []
        for muscle in dict.fromkeys(own["muscle"]):
            cells = own[own["muscle"] == muscle].set_index("method").to_dict(orient="index")
            rows.append([muscle, *(_difference(cells[m]) if m in cells else "" for m in methods)])
        found.append(Table(title(measure), ["", *methods], rows))
    return found


def _difference(cell: Mapping[str, Any]) -> str:
    interval = f", {cell['lower']:+.2f} to {cell['upper']:+.2f}" if cell["n"] > 1 else ""
    return (
        f"{cell['median_difference']:+.2f} ({cell['mean_difference']:+.2f}{interval}; {cell['better']} of {cell['n']})"
    )


def _curves(trace: Trace) -> list[Markup]:
    time = np.array(trace.time)
    charts = []
    for muscle, curves in trace.curves.items():
        lines = [Line(time, np.array(values), STYLES[name]) for name, values in reversed(curves.items())]
        known = np.concatenate([line.y[np.isfinite(line.y)] for line in lines])
        if time.size and known.size:
            charts.append(_chart(f"{trace.unit}: {muscle}", lines, max(1.0, float(known.max()))))
    return charts


def _chart(heading: str, lines: Sequence[Line], highest: float) -> Markup:
    x_range = float(lines[0].x[0]), float(lines[0].x[-1])
    return line_chart(heading, lines, x_label="s", x_range=x_range, y_range=(0.0, 1.05 * highest))


def _torques(torques: pd.DataFrame) -> Part:
    hint = (
        "The refined course of each muscle with the mean of its simulated activity, back through the muscle model: "
        "root-mean-square error of the joint torques, relative to the torques."
    )
    titles = {
        "relative_error": "As refined",
        "within_bound": "Nearest to it within the bound, all muscles of the model",
    }
    tables = [_torque_table(heading, torques, value) for value, heading in titles.items() if value in torques]
    return Part("Back to joint torques", hint, tables=tables)


def _torque_table(heading: str, torques: pd.DataFrame, value: str) -> Table:
    wide = torques.pivot_table(index="recording", columns="joint", values=value, sort=False)
    rows = [
        [str(name), *(f"{v:.0%}" if math.isfinite(v) else "" for v in row)]
        for name, row in zip(wide.index, wide.values)
    ]
    return Table(heading, ["", *map(str, wide.columns)], rows)


def _estimates(result: RefineResult) -> Part:
    charts = []
    for recording, activation in list(zip(result.recordings, result.activations))[:MOST_PARTS]:
        time = activation.activation.time.values
        for muscle in activation.muscles:
            mean, low, high = (
                signal.sel(muscle=muscle).values
                for signal in (activation.activation, activation.lower, activation.upper)
            )
            if np.isfinite(mean).any():
                band = (low, high) if np.isfinite(low).any() else (None, None)
                top = max(1.0, float(np.nanmax(np.where(np.isfinite(high), high, mean))))
                charts.append(_chart(f"{recording.label}: {muscle}", [Line(time, mean, STYLES[REFINED], *band)], top))
    rest = len(result.recordings) - MOST_PARTS
    note = f" {rest} more recordings are in the folder." if rest > 0 else ""
    return Part("Refined activity", f"Of all recordings, with its interval, over time (s).{note}", {}, charts)
