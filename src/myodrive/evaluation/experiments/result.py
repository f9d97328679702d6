"""What an experiment found: one entry for each recording and method, the table, differences, and the verdict in words."""

from __future__ import annotations

import dataclasses
import itertools
import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from myodrive.errors import SignalError
from myodrive.estimator import versions
from myodrive.evaluation.experiments.contract import Experiment
from myodrive.evaluation.machine import describe_machine
from myodrive.evaluation.statistics import compare_subjects
from myodrive.evaluation.truth_result import without_nan

if TYPE_CHECKING:
    from rich.table import Table

TRUTH = "truth"  # the true activation itself, in the place of an estimate


@dataclasses.dataclass(frozen=True)
class ExperimentResult:
    """Everything that one experiment found.

    `entries` has one for each recording (or one person's recordings of one movement) and method: ``case``,
    ``subject``, ``effect`` (None where it is not known), ``method``, ``seconds`` of CPU time for its fit, and either the fields of
    `Finding` or ``failed`` with the reason.
    """

    experiment: Experiment
    methods: list[str]
    entries: list[dict[str, Any]]
    unseen: bool = False  # the estimators had not seen the EMG of the test blocks

    @property
    def rows(self) -> list[dict[str, Any]]:
        """One for each method, with and without the effect where that is known: how often found, mean measures."""
        rows = []
        for effect in dict.fromkeys(e["effect"] for e in self.entries):
            for method in self.methods:
                group = [e for e in self.entries if e["effect"] == effect and e["method"] == method]
                fine = [e for e in group if "failed" not in e]
                if not group:
                    continue
                row: dict[str, Any] = {"method": method, "effect": effect, "n": len(fine)}
                row |= {"found": sum(e["found"] for e in fine), "failed": len(group) - len(fine)}
                for name in self.experiment.measures:
                    values = np.array([e["measures"][name] for e in fine], dtype=np.float64)
                    values = values[np.isfinite(values)]
                    row[name] = float(values.mean()) if values.size else float("nan")
                    row[f"{name}_sd"] = float(values.std(ddof=1)) if values.size > 1 else float("nan")
                row["seconds"] = float(np.median([e["seconds"] for e in group]))
                rows.append({**row, "why": "; ".join(sorted({e["failed"] for e in group if "failed" in e}))})
        return rows

    @property
    def comparisons(self) -> pd.DataFrame:
        """Every method against every one before it: paired differences over subjects, by each measure.

        Where the effect is known, of the recordings that have it. A subject's recordings are averaged first.
        """
        own = [e for e in self.entries if "failed" not in e and e["effect"] is not False and e["method"] != TRUTH]
        tables = []
        for measure in self.experiment.measures:
            flat = pd.DataFrame(
                [(e["subject"], e["method"], e["measures"][measure]) for e in own],
                columns=["subject", "method", "value"],
            )
            wide = flat.dropna().pivot_table(index="subject", columns="method", values="value")
            for reference, method in itertools.combinations([m for m in self.methods if m in wide], 2):
                try:
                    pair = compare_subjects(wide[[reference, method]], reference)
                except SignalError:  # no subject has both
                    continue
                tables.append(pair.assign(measure=measure, reference=reference))
        return pd.concat(tables, ignore_index=True) if tables else pd.DataFrame()

    @property
    def verdict(self) -> list[str]:
        """What the result supports and what it does not, in sentences."""
        known = any(e["effect"] is not None for e in self.entries)
        told = [self._told(row) for row in self.rows if row["effect"] is not False]
        told += self._differences()
        told.append(
            "Each sample was estimated by a fit that had not seen its EMG."
            if self.unseen
            else "The fits have seen the EMG of the test blocks, never what was predicted."
        )
        return [*told, *([] if known else [self._supported()]), self.experiment.limits]

    def _told(self, row: dict[str, Any]) -> str:
        if row["effect"] is None:
            return f"{row['method']}: found in {row['found']} of {row['n']}."
        without = next((r for r in self.rows if r["effect"] is False and r["method"] == row["method"]), None)
        there = f"{row['method']}: found in {row['found']} of {row['n']} recordings with the effect"
        return f"{there}, and in {without['found']} of {without['n']} without it." if without else f"{there}."

    def _supported(self) -> str:
        fine = [r for r in self.rows if r["n"]]
        if not fine:
            return "No recording could be analysed, so nothing is supported."
        some = [r["method"] for r in fine if r["found"] > r["n"] / 2]
        if not some:
            return "No method finds it in most of them: this supports nothing, and does not exclude that it is there."
        return f"By {', '.join(some)}: this supports that {self.experiment.supports}."

    def _differences(self) -> list[str]:
        table, measure = self.comparisons, next(iter(self.experiment.measures))
        if table.empty:
            return []
        return [
            f"{row['method']} against {row['reference']}: {row['mean_difference']:+.3g} in {measure}"
            + (f" (95 % interval {row['lower']:+.3g} to {row['upper']:+.3g}, n = {row['n']})." if row["n"] > 1 else ".")
            for row in table[table["measure"] == measure].to_dict(orient="records")
        ]

    def to_json(self) -> str:
        """Rows, comparisons, verdict and single findings, with machine and versions."""
        about = {"experiment": self.experiment.name, "question": self.experiment.question, "unseen": self.unseen}
        options = dataclasses.asdict(self.experiment)  # type: ignore[call-overload]
        content = {
            "options": options,
            "rows": self.rows,
            "comparisons": self.comparisons.to_dict(orient="records"),
            "verdict": self.verdict,
            "entries": self.entries,
            "machine": describe_machine(),
            "versions": versions(),
        }
        return json.dumps(without_nan({**about, **content}), indent=1)

    def table(self) -> Table:
        """The rows as a table for the terminal: means over recordings."""
        from rich.box import SIMPLE
        from rich.table import Column, Table

        known = any(row["effect"] is not None for row in self.rows)
        heads: list[Column | str] = [
            Column("method", no_wrap=True),
            *(["effect"] if known else []),
            "found",
            *(m.replace("_", " ") for m in self.experiment.measures),
            "CPU s",
        ]
        table = Table(*heads, box=SIMPLE, padding=(0, 1, 0, 0))
        for row in self.rows:
            told = [["no", "yes"][row["effect"]]] if known else []
            values = [say(row[name]) for name in self.experiment.measures]  # it must fit into eighty columns
            table.add_row(row["method"], *told, f"{row['found']} of {row['n']}", *values, f"{row['seconds']:.1f}")
        return table


def say(value: float, spread: float = float("nan")) -> str:
    """ "0.63 ± 0.05"; nothing without a value."""
    if not np.isfinite(value):
        return ""
    return f"{value:.3g}" + (f" ± {spread:.2g}" if np.isfinite(spread) else "")
