"""What a comparison of methods from movement found: scores of each condition and method, paired differences, curves."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pandas as pd

from myodrive.errors import SignalError
from myodrive.evaluation.motion.scoring import MEASURES, Said, Values, measures, muscle_measures
from myodrive.evaluation.statistics import LEAST_SUBJECTS, compare_subjects

if TYPE_CHECKING:
    from rich.table import Table

DIGITS = {"mse": 5}
ROUNDING = 1e-9
MOST_POINTS = 200  # of a curve
TRIAL = ["subject", "movement", "repetition"]
HEADS = {
    "r2": "R²",
    "residual_r2": "residual R²",
    "r": "r",
    "mse": "MSE",
    "coverage": "coverage",
    "peak_error": "peaks",
}


@dataclasses.dataclass(frozen=True)
class Trace:
    """Truth and estimate of one trial, for a figure: muscle → curve → values, rounded."""

    condition: str
    fold: str
    method: str
    trial: str
    time: list[float]
    curves: dict[str, dict[str, list[float | None]]]

    @classmethod
    def make(
        cls, about: Sequence[str], trial: str, clock: np.ndarray, muscles: Sequence[str], truth: Values, said: Said
    ) -> Trace:
        """`about` starts with condition, fold and method. Of a long trial not every sample: it is looked at."""
        some = slice(None, None, clock.size // MOST_POINTS + 1)
        curves = {}
        for k, muscle in enumerate(muscles):
            own = {"truth": truth, "estimate": said.mean, "lower": said.lower, "upper": said.upper}
            curves[muscle] = {name: _rounded(values[some, k]) for name, values in own.items()}
        condition, fold, method = about[:3]
        return cls(condition, fold, method, trial, np.round(clock[some], 3).tolist(), curves)


@dataclasses.dataclass(frozen=True)
class MotionScores:
    """Scores of every method on recordings that it has not learned from.

    `rows` has one for each tested trial, muscle, condition and method, with the sums of `scoring.trial_sums`.
    """

    rows: pd.DataFrame
    traces: list[Trace]
    against: str  # what the estimates are held against

    @property
    def conditions(self) -> list[str]:
        """In the order in which they were asked for."""
        return list(dict.fromkeys(self.rows["condition"]))

    @property
    def methods(self) -> list[str]:
        """In the order in which they were asked for."""
        return list(dict.fromkeys(self.rows["method"]))

    @property
    def summary(self) -> pd.DataFrame:
        """One row for each condition and method: the `MEASURES`, pooled over all trials, and how many people and trials."""
        own = ["condition", "method"]
        trials = self.rows.drop_duplicates([*own, *TRIAL]).groupby(own, sort=False)
        table = measures(self.rows, own).set_index(own)
        return table.assign(n_subject=trials["subject"].nunique(), n_trial=trials.size()).reset_index()

    @property
    def by_kind(self) -> pd.DataFrame:
        """The same by kind of movement; empty where no kinds are known."""
        if self.rows["kind"].nunique() < 2:
            return pd.DataFrame()
        return measures(self.rows, ["kind", "condition", "method"])

    @property
    def by_muscle(self) -> pd.DataFrame:
        """One row for each condition, method and muscle."""
        return muscle_measures(self.rows, ["condition", "method"])

    def by_subject(self, measure: str) -> pd.DataFrame:
        """One row a subject; a column for each (condition, method): pooled over the subject's trials, mean over muscles."""
        table = measures(self.rows, ["subject", "condition", "method"])
        return table.pivot(index="subject", columns=["condition", "method"], values=measure)

    def between_methods(self, reference: str, measure: str = "r2") -> pd.DataFrame:
        """In each condition every method minus a reference, paired over subjects, as of `compare_subjects`."""
        wide = self.by_subject(measure)
        tables = []
        for condition in self.conditions:
            table = _compared(wide[condition], reference)
            tables.append(table.assign(condition=condition, reference=reference))
        return _joined(tables)

    def between_conditions(self, reference: str, measure: str = "r2") -> pd.DataFrame:
        """For each method every condition minus a reference, paired over subjects."""
        wide = self.by_subject(measure)
        tables = []
        for method in self.methods:
            table = _compared(wide.xs(method, axis=1, level="method"), reference).rename(
                columns={"method": "condition"}
            )
            tables.append(table.assign(method=method, reference=reference))
        return _joined(tables)

    def content(self) -> dict[str, Any]:
        """The tables, as JSON allows but for NaN; no sums and no curves."""
        tables = {name: getattr(self, name) for name in ("summary", "by_kind", "by_muscle")}
        people = measures(self.rows, ["subject", "condition", "method"])
        records = {name: table.to_dict(orient="records") for name, table in {**tables, "by_subject": people}.items()}
        return {"measures": MEASURES, "against": self.against, **records}

    def table(self) -> Table:
        """For the terminal."""
        from rich.box import SIMPLE
        from rich.table import Column, Table

        table = Table("", *(Column(h, justify="right") for h in HEADS.values()), box=SIMPLE, padding=(0, 1, 0, 0))
        last = ""
        for condition, method, *cells in cells_of(self.summary):
            if condition != last:
                table.add_row(f"[bold]{condition}[/bold]")
            table.add_row(f"  {method}", *cells)
            last = condition
        return table


def cells_of(summary: pd.DataFrame) -> list[list[str]]:
    """Condition, method and each measure as words."""
    rows = []
    for row in summary.to_dict(orient="records"):
        values = [f"{row[m]:.{DIGITS.get(m, 3)}f}" if np.isfinite(row[m]) else "" for m in MEASURES]
        rows.append([row["condition"], row["method"], *values])
    return rows


def in_words(row: Mapping[Any, Any], digits: int = 3) -> str:
    """A paired difference with its interval, and in how many people it is above 0."""
    above = sum(d > 0 for d in row["differences"].values())
    interval = f", 95 % interval {row['lower']:+.{digits}f} to {row['upper']:+.{digits}f}" if row["n"] > 1 else ""
    p = f", p = {row['p_holm']:.2g}" if np.isfinite(row["p_holm"]) else ""
    return f"{row['mean_difference']:+.{digits}f} (above 0 in {above} of {row['n']} people{interval}{p})"


class Weight(NamedTuple):
    """What a paired difference weighs: on which side of 0 it is (0 for neither), and whether so many people can show it."""

    side: int
    shown: bool


def weight(row: Mapping[Any, Any]) -> Weight:
    """From eight people on the interval has to leave 0 out; with fewer everybody has to be on one side, and it is a hint."""
    if row["n"] >= LEAST_SUBJECTS:
        return Weight(int(row["lower"] > 0) - int(row["upper"] < 0), True)
    each = np.array(list(row["differences"].values()))
    return Weight(int((each > ROUNDING).all()) - int((each < -ROUNDING).all()), False)


def _compared(wide: Any, reference: str) -> pd.DataFrame:
    try:
        return compare_subjects(wide.dropna(axis=1, how="all"), reference) if reference in wide else pd.DataFrame()
    except SignalError:  # no subject has both
        return pd.DataFrame()


def _joined(tables: Sequence[pd.DataFrame]) -> pd.DataFrame:
    tables = [t for t in tables if len(t)]
    return pd.concat(tables, ignore_index=True) if tables else pd.DataFrame()


def _rounded(values: np.ndarray) -> list[float | None]:
    return [round(float(v), 4) if np.isfinite(v) else None for v in values]
