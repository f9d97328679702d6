"""The picture of a search over hyperparameters: every network's score and settings, and who copied whom."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from markupsafe import Markup

from myodrive.learning.population_rules import searched
from myodrive.reporting.svg import Line, line_chart

Row = Mapping[str, float]
Step = tuple[Row, Row]  # what a network was, or copied, one generation earlier, and what became of it


def search_charts(history: Sequence[Row], title: str, style: str) -> list[Markup]:
    """One chart of the scores over generations, and one of each hyperparameter.

    Parameters
    ----------
    history : sequence of dict
        One row for each member and generation, as `learning.population` writes them.
    title : str
    style : str
        Class of the lines that lead to the best network; the others are grey, dashed where one copied another.
    """
    steps = _steps(history)
    best = _way_to_best(history, steps)
    last = max(row["generation"] for row in history)
    charts = []
    for name in ["score", *searched(history[0])]:
        own = [s for s in steps if s[0]["member"] == s[1]["member"]]
        copied = [s for s in steps if s[0]["member"] != s[1]["member"]]
        lines = [_line(own, name, "raw"), _line(copied, name, "raw copied"), _line(best, name, style)]
        values = [row[name] for row in history if np.isfinite(row[name])]
        score = name == "score"
        if score:  # the first generations are far above all others
            values = [v for v in values if v <= np.quantile(values, 0.9)]
        charts.append(
            line_chart(
                title if score else name.replace("_", " "), lines, x_label="generation", log_y=not score,
                y_label="loss" if score else "", x_range=(0.0, max(float(last), 1.0)),
                y_range=_around(values, score),
            )
        )  # fmt: skip
    return charts


def _steps(history: Sequence[Row]) -> list[Step]:
    by_place = {(row["generation"], row["member"]): row for row in history}
    earlier = [(by_place.get((row["generation"] - 1, row["parent"])), row) for row in history]
    return [(before, row) for before, row in earlier if before is not None]


def _way_to_best(history: Sequence[Row], steps: Sequence[Step]) -> list[Step]:
    """From the start to the row with the lowest validation score."""
    before = {id(row): parent for parent, row in steps}
    row = min(history, key=lambda r: r["validation"] if np.isfinite(r["validation"]) else np.inf)
    way: list[Step] = []
    while id(row) in before:
        way.append((before[id(row)], row))
        row = before[id(row)]
    return way[::-1]


def _line(steps: Sequence[Step], name: str, style: str) -> Line:
    """All steps as one curve, broken between them."""
    x = [value for a, b in steps for value in (a["generation"], b["generation"], b["generation"])]
    y = [value for a, b in steps for value in (a[name], b[name], np.nan)]
    return Line(np.array(x, dtype=np.float64), np.array(y, dtype=np.float64), style)


def _around(values: Sequence[float], score: bool) -> tuple[float, float]:
    """The range of an axis that holds the values with some room; by a factor on a logarithmic axis."""
    low, high = (min(values), max(values)) if values else (1.0, 1.0)
    if score:
        room = 0.05 * (high - low) or 0.1
        return low - room, high + room
    return low / 1.15, high * 1.15
