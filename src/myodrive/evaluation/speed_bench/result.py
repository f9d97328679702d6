"""What the benchmark found: ratios with their spread, as a table and as JSON."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from myodrive.evaluation.speed_bench.contenders import STOCK
from myodrive.safe_write import safe_write_text


@dataclasses.dataclass(frozen=True)
class SpeedResult:
    """Rates of every contender in every round, by model."""

    machine: dict[str, Any]
    tables: dict[str, dict[str, Any]]  # model → contender → its rates
    gflop_per_step: dict[str, float]
    with_torch: bool

    def ratio(self, model: str, what: str, rival: str) -> list[float]:
        """Ours over the rival's rate, round by round; of its two settings of memory the rival's faster one."""
        return [mine / theirs for mine, theirs in self._beside(model, what, rival, "rate", max)]

    def cpu_ratio(self, model: str, what: str, rival: str) -> list[float]:
        """The rival's CPU time for a piece of work over ours, round by round: less disturbed by what else is running."""
        return [theirs / mine for mine, theirs in self._beside(model, what, rival, "cpu_s", min)]

    def _beside(
        self, model: str, what: str, rival: str, value: str, best: Callable[..., list[float]]
    ) -> list[tuple[float, float]]:
        """Ours and the rival's in each round, with its better setting of memory; none where the rival did not do it."""
        rows = [row["work"] for name, row in self.tables[model].items() if name.startswith(rival)]
        settings = [work[what][value] for work in rows if what in work]
        if not settings:
            return []
        return list(zip(self.tables[model]["ours"]["work"][what][value], best(settings, key=np.median), strict=True))

    def to_dict(self) -> dict[str, Any]:
        """The figures for a machine to read; the headline is that of the first model's steps."""
        model = next(iter(self.tables))
        ours = np.array(self.tables[model]["ours"]["work"]["steps"]["rate"])
        share = ours / self.machine["cores"] * self.gflop_per_step[model] / self.machine["matrix_peak_gflop_s"]
        cores = self.machine["cores"]
        headline = {
            "ratio_to_pytorch_eager": self.ratio(model, "steps", "PyTorch, one process"),
            "ratio_to_pytorch_processes": self.ratio(model, "steps", f"PyTorch, {cores} processes"),
            "cpu_ratio_to_pytorch_processes": self.cpu_ratio(model, "steps", f"PyTorch, {cores} processes"),
            "share_of_matrix_peak": list(share),
            "search_ratio_to_pytorch_eager": self.ratio(model, "search", "PyTorch, one process"),
            "search_ratio_to_pytorch_processes": self.ratio(model, "search", f"PyTorch, {cores} processes"),
        }
        rows = self.tables[model]
        further, needed = (rows["ours"].get(name) for name in ("mib_per_further_member", "mib_of_a_member"))
        flat: dict[str, Any] = {
            "model": model,
            "peak_mib": {name: row["peak_mib"] for name, row in rows.items()},
            "mib_per_further_member": further,
            "mib_of_a_member": needed,
            "memory_growth": further / needed if needed else None,
        }
        for name, values in headline.items():
            flat[name] = float(np.median(values)) if values else None
            flat[f"{name}_range"] = [float(min(values)), float(max(values))] if values else None
        return flat | {"machine": self.machine, "gflop_per_step": self.gflop_per_step, "rounds": self.tables}

    def write(self, path: Path) -> None:
        """As JSON, whole or not at all."""
        safe_write_text(path, json.dumps(self.to_dict(), indent=1))

    def table(self) -> Any:
        """For the terminal: one row for each contender and kind of work."""
        from rich.box import SIMPLE
        from rich.table import Column, Table

        heads = [Column(name, justify="right") for name in ("s", "ours faster by", "GFLOP/s", "peak", "MiB")]
        table = Table(
            "work",
            Column("who", no_wrap=True),
            *heads,
            title=self._title(),
            caption=self._caption(),
            box=SIMPLE,
            padding=(0, 1, 0, 0),
        )
        for model, sides in self.tables.items():
            table.add_row(f"[bold]{model}")
            for what in sides["ours"]["work"]:
                for name, row in sides.items():
                    if what in row["work"]:
                        table.add_row(*self._row(model, what, name, row))
            table.add_section()
        return table

    def _caption(self) -> str:
        """What is in no row: the start of a search, and the memory of its members."""
        words = ["PyTorch is not installed: only our side."]
        if self.with_torch:
            words = ["PyTorch m×n: m processes of n threads; stock: with the memory settings that it has without ours."]
        for model, sides in self.tables.items():
            ours = sides["ours"]
            if "search" in ours["work"]:
                words += [
                    f"{model}: a search is counted in steps of single members, validated after each 5. Its first call, in "
                    f"which processes start, took {ours['work']['search']['first_s']:.0f} s. Each further "
                    f"member takes {ours['mib_per_further_member']:.0f} MiB; weights, their average, moments and "
                    f"activations of one need {ours['mib_of_a_member']:.0f} MiB by their shapes."
                ]
        return "\n".join(words)

    def _title(self) -> str:
        m = self.machine
        return f"{m['processor']}, {m['cores']} cores, {m['matrix_peak_gflop_s']:.0f} GFLOP/s a core in large products"

    def _row(self, model: str, what: str, name: str, row: dict[str, Any]) -> list[str]:
        who = name if name == "ours" else f"PyTorch {row['processes']}×{self.machine['cores'] // row['processes']}"
        rates = np.array(row["work"][what]["rate"])
        ours = np.array(self.tables[model]["ours"]["work"][what]["rate"])
        seconds = row["processes"] / np.median(rates)
        faster = ours / rates
        spread = "" if name == "ours" else f"{np.median(faster):.2f} ({faster.min():.2f}–{faster.max():.2f})"
        flops = np.median(rates) * self.gflop_per_step[model] / self.machine["cores"]
        share = flops / self.machine["matrix_peak_gflop_s"]
        of_steps = [f"{flops:.0f}", f"{share:.0%}"] if what == "steps" else ["", ""]
        return [
            what if name == "ours" else "",
            f"{who}, stock" if name.endswith(STOCK) else who,
            f"{seconds:.3f}",
            spread,
            *of_steps,
            f"{row['peak_mib']:.0f}",
        ]
