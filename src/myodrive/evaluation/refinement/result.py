"""What a comparison of refinements found: scores of each muscle and method, paired differences, and the verdict in words."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import xarray as xr

from myodrive.errors import SignalError
from myodrive.evaluation.statistics import compare_subjects

if TYPE_CHECKING:
    from rich.table import Table

AS_IS, NETWORK, REFINED = "simulated-as-is", "stdr-net", "refined"
SHOWN = (AS_IS, NETWORK, REFINED)  # in the figures
MEASURES = {
    "rmse": "root-mean-square error, in units of the muscle's 95th percentile",
    "r": "correlation at zero lag",
    "best_r": "correlation at the best lag within ±200 ms",
    "lag_s": "by which the estimate comes late at the best lag",
}
ROUNDING = 1e-9  # a gain changes no correlation, but for the last digits
ORDER = (AS_IS, "gain-offset", "gain-lag", "dtw-mean", "mean-curve", "ridge-fir", "kinematics-rnn", NETWORK, REFINED)


@dataclasses.dataclass(frozen=True)
class Trace:
    """Measured and estimated activity of one held-out part, for a figure: muscle → curve → values."""

    unit: str
    time: list[float]
    curves: dict[str, dict[str, list[float]]]

    @classmethod
    def make(
        cls, unit: str, truth: xr.DataArray, estimates: Mapping[str, xr.DataArray], span: tuple[float, float]
    ) -> Trace:
        """Of the samples within the span, rounded: it is looked at, not computed with."""
        inside = ((truth.time >= span[0]) & (truth.time < span[1])).values
        curves: dict[str, dict[str, list[float]]] = {}
        for muscle in map(str, truth.muscle.values):
            own = {"measured": truth.sel(muscle=muscle).values[inside]}
            for method in SHOWN:
                if method in estimates:
                    placed = estimates[method].reindex(time=truth.time, method="nearest", tolerance=1e-6)
                    own[method] = placed.sel(muscle=muscle).values[inside]
            curves[muscle] = {name: np.round(v.astype(np.float64), 4).tolist() for name, v in own.items()}
        return cls(unit, np.round(truth.time.values[inside], 4).tolist(), curves)

    def kept(self) -> dict[str, Any]:
        """As JSON allows, but for NaN."""
        return dataclasses.asdict(self)

    @classmethod
    def of(cls, kept: Mapping[str, Any]) -> Trace:
        """From what `kept` gave, None for NaN."""
        curves = {
            muscle: {name: [np.nan if v is None else v for v in values] for name, values in own.items()}
            for muscle, own in kept["curves"].items()
        }
        return cls(kept["unit"], kept["time"], curves)


@dataclasses.dataclass(frozen=True)
class Comparison:
    """Scores of every method on EMG that it has not learned from.

    `rows` has one for each held-out part, muscle and method: ``unit`` (person, trial or block of strides), ``subject``,
    ``recording``, ``muscle``, ``method`` and the `MEASURES`. `chosen` says what the refinement took in each fold, and why.
    """

    rows: pd.DataFrame
    chosen: list[dict[str, Any]]
    traces: list[Trace]

    @property
    def methods(self) -> list[str]:
        """From the simulation as it is to the refinement."""
        found = list(dict.fromkeys(self.rows["method"])) if len(self.rows) else []
        return [m for m in ORDER if m in found] + [m for m in found if m not in ORDER]

    @property
    def muscles(self) -> list[str]:
        """In the order of the recordings."""
        return list(dict.fromkeys(self.rows["muscle"])) if len(self.rows) else []

    @property
    def units(self) -> list[str]:
        """The people, trials or blocks of strides over which medians are taken."""
        return list(dict.fromkeys(self.rows["unit"])) if len(self.rows) else []

    def by_unit(self, measure: str, muscle: str) -> pd.DataFrame:
        """One row a unit, one column a method: the mean over the unit's recordings."""
        own = self.rows[self.rows["muscle"] == muscle]
        wide = own.pivot_table(index="unit", columns="method", values=measure, dropna=False, sort=False)
        return wide.reindex(index=self.units, columns=self.methods)

    @property
    def summary(self) -> pd.DataFrame:
        """One row for each muscle and method: the median over units of each measure, and how many units there are."""
        found = []
        for muscle in self.muscles:
            wide = {measure: self.by_unit(measure, muscle) for measure in MEASURES}
            for method in self.methods:
                values = {measure: float(wide[measure][method].median()) for measure in MEASURES}
                n = int(wide["rmse"][method].notna().sum())
                found.append({"muscle": muscle, "method": method, "n": n, **values})
        return pd.DataFrame(found)

    @property
    def differences(self) -> pd.DataFrame:
        """Every method minus the simulation as it is, for each muscle, paired over units.

        ``median_difference``; ``better`` units of ``n``; mean with its bootstrap interval, and Holm's p over the methods
        where there are enough units, as of `compare_subjects`.
        """
        tables = []
        for muscle in self.muscles:
            for measure in ("rmse", "r", "best_r"):
                wide = self.by_unit(measure, muscle)
                if AS_IS not in wide or not wide[AS_IS].notna().any():
                    continue
                wide = wide[[c for c in wide if (wide[c].notna() & wide[AS_IS].notna()).any()]]
                try:
                    table = compare_subjects(wide, AS_IS)
                except SignalError:
                    continue
                each = [np.array(list(d.values())) for d in table["differences"]] if len(table) else []
                sign = -1.0 if measure == "rmse" else 1.0
                table = table.assign(
                    muscle=muscle,
                    measure=measure,
                    median_difference=[float(np.median(d)) for d in each],
                    better=[int(np.sum(sign * d > ROUNDING)) for d in each],
                )
                tables.append(table)
        return pd.concat(tables, ignore_index=True) if tables else pd.DataFrame()

    def counts(self, method: str) -> tuple[list[str], list[str]]:
        """Muscles in which a method's median paired difference is better in RMSE and in r, and those in which either is worse."""
        table = self.differences
        own = table[table["method"] == method] if len(table) else table
        if own.empty:
            return [], []
        wide = own.pivot_table(index="muscle", columns="measure", values="median_difference", sort=False).dropna()
        better = wide.index[(wide["rmse"] < -ROUNDING) & (wide["r"] > ROUNDING)]
        worse = wide.index[(wide["rmse"] > ROUNDING) | (wide["r"] < -ROUNDING)]
        return [str(m) for m in better], [str(m) for m in worse]

    @property
    def verdict(self) -> list[str]:
        """What the scores say, in sentences."""
        if not len(self.rows):
            return ["Nothing was held out, so nothing can be said of new data."]
        told = [
            self._against_simulation(NETWORK, "before any fallback"),
            self._against_simulation(REFINED, "with the fallback"),
        ]
        told += [self._against(other) for other in ("ridge-fir", "mean-curve", "kinematics-rnn")]
        if self.chosen:
            counts = Counter(row["chosen"] for row in self.chosen)
            told.append("Chosen: " + ", ".join(f"{name} {n}×" for name, n in counts.most_common()) + ".")
        told.append(f"Medians are over {len(self.units)} held-out part(s): {', '.join(self.units)}.")
        return [sentence for sentence in told if sentence]

    def _against_simulation(self, method: str, note: str) -> str:
        if method not in self.methods or self.differences.empty:
            return ""
        better, worse = self.counts(method)
        return (
            f"{method} ({note}) is better than the simulation in the median paired difference, in RMSE and in r, for "
            f"{len(better)} of {self.differences['muscle'].nunique()} muscles; worse in either for {', '.join(worse) or 'none'}."
        )

    def _against(self, other: str) -> str:
        """The network beside another way, whichever is ahead."""
        if not {NETWORK, other} <= set(self.methods):
            return ""
        table = self.summary.pivot_table(index="muscle", columns="method", values="rmse")[[NETWORK, other]].dropna()
        ahead = int((table[NETWORK] < table[other]).sum())
        return (
            f"{NETWORK} errs less than {other} for {ahead} of {len(table)} muscles (median RMSE {table[NETWORK].median():.3f} "
            f"against {table[other].median():.3f})."
        )

    def tables(self) -> list[Table]:
        """For the terminal, one table a measure: a row for each muscle, a column for each method."""
        from rich.box import SIMPLE
        from rich.table import Column, Table

        found = []
        for measure in MEASURES:
            heads = [Column(m.replace("-", "\n"), justify="right") for m in self.methods]
            table = Table(
                "muscle", *heads, title=title(measure), title_justify="left", box=SIMPLE, padding=(0, 1, 0, 0)
            )
            for row in self.cells(measure):
                table.add_row(*row)
            found.append(table)
        return found

    def cells(self, measure: str) -> list[list[str]]:
        """Muscle, then each method's median over units; lags in ms."""
        summary = self.summary
        factor, digits = (1e3, 0) if measure == "lag_s" else (1.0, 3 if measure == "rmse" else 2)
        rows = []
        for muscle in self.muscles:
            own = summary[summary["muscle"] == muscle].set_index("method")[measure] * factor
            rows.append([muscle, *(f"{own[m]:.{digits}f}" if np.isfinite(own[m]) else "" for m in self.methods)])
        return rows

    def content(self) -> dict[str, Any]:
        """Everything but the curves, as JSON allows, but for NaN."""
        records = {name: getattr(self, name).to_dict(orient="records") for name in ("rows", "summary", "differences")}
        return {"measures": MEASURES, "verdict": self.verdict, "chosen": self.chosen, **records}


def title(measure: str) -> str:
    """What a table of a measure is called, with the unit of `Comparison.cells`."""
    words = MEASURES[measure]
    return f"{words[0].upper()}{words[1:]}{' (ms)' if measure == 'lag_s' else ''}"
