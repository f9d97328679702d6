"""What the bench found: scores of single recordings, rows over all of them, and the table."""

from __future__ import annotations

import dataclasses
import json
from typing import TYPE_CHECKING, Any

import numpy as np

from myodrive.estimator import versions
from myodrive.evaluation.machine import describe_machine

if TYPE_CHECKING:
    from rich.table import Table

Options = dict[str, Any]  # of an estimator
QUARTERS = tuple(f"coverage_q{i}" for i in range(1, 5))  # of the true activation; results of old runs lack them


@dataclasses.dataclass(frozen=True)
class BenchResult:
    """What a run of the bench found.

    `scores` has an entry for each recording and estimator: the case, the fields of `TruthScore`, ``seconds`` of CPU
    time, the chosen ``options``, and ``failed`` with the reason instead where there is no score. `rows` has one entry
    for each estimator over all recordings, `conditions` one for each estimator and condition.
    """

    scores: list[dict[str, Any]]
    settings: dict[str, Options]

    @property
    def rows(self) -> list[dict[str, Any]]:
        return summarise(self.scores, ())

    @property
    def conditions(self) -> list[dict[str, Any]]:
        return summarise(self.scores, ("scenario", "snr_db", "n_muscles"))

    def to_json(self) -> str:
        """Rows, conditions and single scores, with machine and versions."""
        content = {"rows": self.rows, "conditions": self.conditions, "scores": self.scores}
        about = {"settings": self.settings, "machine": describe_machine(), "versions": versions()}
        return json.dumps(without_nan({**content, **about}), indent=1)

    def table(self) -> Table:
        """The rows as a table for the terminal, best first; under it what failed, and why."""
        from rich.box import SIMPLE
        from rich.table import Table
        from rich.text import Text

        levels = sorted({f"{row['level']:.0%}" for row in self.rows if np.isfinite(row["level"])})
        nominal = f"; intervals of {', '.join(levels)}" if levels else ""
        table = Table(title=f"Estimators on recordings whose activation is known (mean±sd{nominal})", box=SIMPLE)
        failed = [
            f"{row['estimator']} failed {row['failed']} times: {row['why']}" for row in self.rows if row["failed"]
        ]
        table.caption = Text("\n".join(failed)) if failed else None
        for heading in ["estimator", "R²", "nRMSE", "lag ms", "coverage", "least ¼", "CPU s", "n"]:
            table.add_column(
                heading, justify="left" if heading == "estimator" else "right", no_wrap=heading != "estimator"
            )
        for row in self.rows:
            table.add_row(
                row["estimator"],
                _say(row["r2"], row["r2_sd"]),
                _say(row["nrmse"], row["nrmse_sd"]),
                _say(1e3 * row["lag_s"], 1e3 * row["lag_s_sd"], 0),
                _say(row["coverage"], row["coverage_sd"]),
                _say(min(row[quarter] for quarter in QUARTERS)),
                _say(row["seconds"], digits=1),
                str(row["n"]),
            )
        return table


def summarise(scores: list[dict[str, Any]], by: tuple[str, ...]) -> list[dict[str, Any]]:
    """One row for each estimator, or each condition and estimator, best first within a condition."""
    groups: dict[tuple[Any, ...], list[dict[str, Any]]] = {}
    for score in scores:
        groups.setdefault((*(score[name] for name in by), score["estimator"]), []).append(score)
    rows = []
    for (*condition, name), group in groups.items():
        fine = [score for score in group if "failed" not in score]
        row: dict[str, Any] = {**dict(zip(by, condition)), "estimator": name}
        for metric in ("r2", "nrmse", "lag_s", "coverage", "width", "r2_worst", *QUARTERS):
            values = np.array([score.get(metric, np.nan) for score in fine], dtype=np.float64)
            row.update(_spread(metric, values[np.isfinite(values)]))
        levels = [score["level"] for score in fine]
        reasons = sorted({score["failed"] for score in group if "failed" in score})
        row["level"] = levels[0] if levels else float("nan")
        row["seconds"] = float(np.median([score["seconds"] for score in group]))
        rows.append({**row, "n": len(fine), "failed": len(group) - len(fine), "why": "; ".join(reasons)})
    return sorted(rows, key=lambda row: (*(str(row[name]) for name in by), -np.nan_to_num(row["r2"], nan=-np.inf)))


def _spread(metric: str, values: np.ndarray) -> dict[str, float]:
    """Mean, standard deviation and quartiles over recordings; NaN without values."""
    nan = float("nan")
    quartiles = np.quantile(values, [0.25, 0.5, 0.75]) if values.size else np.full(3, nan)
    return {
        metric: float(values.mean()) if values.size else nan,
        f"{metric}_sd": float(values.std(ddof=1)) if values.size > 1 else nan,
        **{f"{metric}_{name}": float(q) for name, q in zip(("q25", "median", "q75"), quartiles)},
    }


def _say(value: float, spread: float = float("nan"), digits: int = 3) -> str:
    """ ".922±.001", as short as it can be: the table must fit into eighty columns."""
    if not np.isfinite(value):
        return ""
    said = f"{value:.{digits}f}" + (f"±{spread:.{digits}f}" if np.isfinite(spread) else "")
    return said.replace("0.", ".") if digits == 3 else said


def without_nan(value: Any) -> Any:
    """NaN is not JSON: None stands for it."""
    if isinstance(value, dict):
        return {k: without_nan(v) for k, v in value.items()}
    if isinstance(value, list):
        return [without_nan(v) for v in value]
    return None if isinstance(value, float) and not np.isfinite(value) else value
