"""The report: one HTML file that needs no network, from the results of the main job."""

from __future__ import annotations

import base64
import dataclasses
import datetime
import json
import platform
from collections.abc import Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from jinja2 import Environment, FunctionLoader, StrictUndefined
from markupsafe import Markup

from myodrive.activation import Activation
from myodrive.conditioning.movements import find_cycles
from myodrive.estimator import versions
from myodrive.evaluation.result import RecordingResult, StudyResult
from myodrive.evaluation.summary import ENERGY_OPERATOR
from myodrive.recording import make_signal, sampling_rate
from myodrive.reporting import figures, words
from myodrive.reporting.search import search_charts
from myodrive.reporting.traces import Traces, pack_traces
from myodrive.reporting.words import Channel, number, plural
from myodrive.safe_write import safe_write_text

COLOURS = ("low-pass", "bayes", "whitened", "lfads", "synergies", "autolfads")  # their order is that of the colours
N_COLOURS = 8  # in the stylesheet
OPEN_UP_TO = 3  # recordings that are unfolded from the start
MEASURES = {"peak": "Peak", "mean": "Mean", "integral": "Integral (s)", "burst_count": "Bursts"}


@dataclasses.dataclass(frozen=True)
class Table:
    """A table of text: a title, the heads of the columns, and rows that begin with a head of their own."""

    title: str
    heads: Sequence[str]
    rows: Sequence[Sequence[str]]


@dataclasses.dataclass(frozen=True)
class Section:
    """Everything that the page shows of one recording."""

    id: str
    result: RecordingResult
    facts: Mapping[str, str]
    channels: Sequence[Channel]
    remarks: Sequence[str]
    traces: Traces
    spectra: Sequence[Markup]
    elements: Sequence[Markup]
    cycles: Sequence[Markup]
    score_charts: Sequence[Markup]
    not_scored: Sequence[str]
    tables: Sequence[Table]
    cocontraction: Table | None
    bursts: Table | None

    @property
    def lights(self) -> dict[str, str]:
        """The traffic light of each channel."""
        return {c.label: c.light for c in self.channels}

    @property
    def interval(self) -> str:
        """What the intervals of the estimates are called; nothing where there are none."""
        levels = sorted({a.interval_level for a in self.result.estimates.values() if a.has_interval})
        return f"{words.listed([f'{level:.0%}' for level in levels])} intervals" if levels else ""

    @property
    def truth(self) -> str:
        """What the known activation is called; nothing without one."""
        truth = self.result.truth
        return (
            ""
            if truth is None
            else "truth, scaled"
            if truth.relative_to == "unit" and self.result.estimates
            else "truth"
        )


def write_report(result: StudyResult, path: str | Path) -> Path:
    """Write one self-contained HTML file with everything that was found, estimated and scored.

    Parameters
    ----------
    result : StudyResult
    path : path
        Of the file to write.

    Returns
    -------
    Path
    """
    return safe_write_text(path, render(result))


report = write_report


def render(result: StudyResult) -> str:
    """The page as text."""
    result = dataclasses.replace(result, recordings=[_with_scaled_truth(_with_emg(r)) for r in result.recordings])
    methods = _methods(result)
    styles = {m: f"m{colours(methods)[m]}" for m in methods} | {"truth": "truth"}
    cycles = [find_cycles(r.masked) for r in result.recordings]
    sections = [
        _section(f"r{i}", one, own, styles, len(result.recordings))
        for i, (one, own) in enumerate(zip(result.recordings, cycles), start=1)
    ]
    paragraphs, references = words.methods_paragraphs(result, has_cycles=any(cycles))
    return fill_template(
        "report.html.j2",
        result=result,
        versions=result.run.get("versions") or versions(),
        system=f"{platform.system()} {platform.machine()}",
        script=Markup(asset("traces.js")),
        short=words.in_short(result, [s.channels for s in sections]),
        sections=sections,
        muscles=_columns(sections),
        styles=styles,
        learning=_learning(result, styles),
        searches=_searches(result, styles),
        paragraphs=paragraphs,
        references=references,
        run=json.dumps(_without_folders(result.run), indent=1, default=str),
        unfolded=len(sections) <= OPEN_UP_TO,
    )


def _without_folders(run: dict[str, object]) -> dict[str, object]:
    """The run as the page shows it: a report goes to colleagues, and the names of one's folders do not."""
    options = run.get("options")
    if not isinstance(options, dict):
        return run
    return {**run, "options": {**options, **{k: [Path(f).name for f in options.get(k, ())] for k in ("files", "mvc")}}}


def fill_template(name: str, **content: Any) -> str:
    """The page of a template: its own content, and what every page has."""
    page = Environment(
        loader=FunctionLoader(asset), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    page.filters["file_name"] = lambda path: Path(path).name
    page.globals.update(number=number, plural=plural, lights=words.LIGHTS)
    shared = {
        "made": datetime.datetime.now().astimezone().strftime("%d %B %Y, %H:%M %Z"),
        "versions": versions(),
        "style": Markup(asset("report.css")),
        "icon": base64.b64encode(asset("icon.svg").encode()).decode(),
    }
    return page.get_template(name).render({**shared, **content})


def asset(name: str) -> str:
    return files("myodrive.reporting").joinpath("templates", name).read_text(encoding="utf-8")


def _methods(result: StudyResult) -> list[str]:
    return list(dict.fromkeys([*result.methods, *(m for r in result.recordings for m in [*r.estimates, *r.skipped])]))


def colours(methods: Sequence[str]) -> dict[str, int]:
    """The same colour for a method in every report; methods that are not known take those that are left."""
    others = [m for m in methods if m not in COLOURS]
    free = [i for i in range(N_COLOURS) if i >= len(COLOURS) or COLOURS[i] not in methods]
    free = sorted(free, key=lambda i: i < len(COLOURS))
    return {m: COLOURS.index(m) if m in COLOURS else free[others.index(m) % len(free)] for m in methods}


def _with_emg(result: RecordingResult) -> RecordingResult:
    """A recording without EMG gets one without a channel: the rest of it is still worth a report."""
    if "emg" in result.recording:
        return result
    times = [signal.time.values for signal in result.recording.signals.values() if signal.sizes["time"] > 1]
    ends = [min(t[0] for t in times), max(t[-1] for t in times)] if times else [0.0, 1.0]
    empty = make_signal(np.empty((2, 0)), ("time", "muscle"), {"muscle": []}, units="", time=np.array(ends))
    return dataclasses.replace(result, recording=result.recording.with_signal("emg", empty))


def _with_scaled_truth(result: RecordingResult) -> RecordingResult:
    """A truth on a scale of its own, drawn to the height of the estimates: by the ratio of their 95th percentiles."""
    truth, estimates = result.truth, [a for a in result.estimates.values() if a.activation.dims == ("time", "muscle")]
    if truth is None or truth.relative_to != "unit" or not estimates:
        return result
    own = truth.activation.quantile(0.95, "time")
    known = [a.activation.where(a.valid).dropna("muscle", how="all") for a in estimates]
    theirs = [k.quantile(0.95, "time").drop_vars("quantile") for k in known]
    gain = (xr.concat(theirs, "method", join="outer").median("method") / own).drop_vars("quantile")
    scaled = truth.activation * gain.reindex_like(truth.activation.muscle)
    return dataclasses.replace(result, truth=Activation(scaled, method="truth", relative_to="unit", valid=truth.valid))


def _section(
    name: str,
    result: RecordingResult,
    cycles: Sequence[tuple[float, float, str]],
    styles: Mapping[str, str],
    n_recordings: int,
) -> Section:
    shown = dict(result.estimates) | ({"truth": result.truth} if result.truth is not None else {})
    return Section(
        id=name,
        result=result,
        facts=_facts(result),
        channels=words.channels(result),
        remarks=words.remarks(result),
        traces=pack_traces(result, n_recordings),
        spectra=figures.spectra(result.recording["emg"], result.estimates, styles),
        elements=figures.movement_elements(result.recording),
        cycles=figures.cycle_averages(shown, cycles, styles) if cycles else [],
        score_charts=figures.score_charts(result.scores, styles) if len(result.scores) else [],
        not_scored=words.not_scored(result.scores),
        tables=_summary_tables(result.summary, list(result.estimates)),
        cocontraction=_cocontraction(result.summary, list(result.estimates)),
        bursts=_bursts(result.summary),
    )


def _facts(result: RecordingResult) -> dict[str, str]:
    recording, emg = result.recording, result.recording["emg"]
    stage = str(emg.attrs.get("stage", "raw"))
    facts = {
        "Subject": recording.subject,
        "Session": recording.session,
        "Movement": recording.movement,
        "Repetition": recording.repetition,
        "Length": f"{number(float(emg.time[-1] - emg.time[0]))} s",
        "EMG": f"{plural(emg.sizes['muscle'], 'channel')} at {sampling_rate(emg):g} Hz, {stage}"
        if emg.size
        else "none",
        "Events": str(len(recording.events)) if len(recording.events) else "",
        "File": recording.source.path,
        "SHA-256": recording.source.sha256[:16],
    }
    for name, alignment in recording.alignments.items():
        error = f" ± {number(1000 * alignment.error_s, 2)} ms" if np.isfinite(alignment.error_s) else ""
        facts[f"Clock of {name}"] = f"moved by {number(alignment.offset_s)} s{error} ({alignment.method})"
    return {k: v for k, v in facts.items() if v}


def _columns(sections: Sequence[Section]) -> list[str]:
    """The muscles of the overview; none where the recordings have too many different ones for a table."""
    muscles = list(dict.fromkeys(c.label for s in sections for c in s.channels))
    return muscles if len(muscles) <= 24 else []


def _summary_tables(summary: pd.DataFrame, methods: Sequence[str]) -> list[Table]:
    if summary.empty:
        return []
    trial = summary[summary["part"] == "trial"]
    return [_by_method(trial[trial["measure"] == m], methods, title) for m, title in MEASURES.items()]


def _cocontraction(summary: pd.DataFrame, methods: Sequence[str]) -> Table | None:
    if summary.empty:
        return None
    rows = summary[(summary["part"] == "trial") & summary["measure"].str.startswith("cocontraction_")]
    if rows.empty:
        return None
    index = rows["measure"].map({"cocontraction_falconer_winter": "FW %", "cocontraction_rudolph": "R"})
    return _by_method(rows.assign(muscle=rows["muscle"] + "  " + index), methods, "Co-contraction")


def _by_method(rows: pd.DataFrame, methods: Sequence[str], title: str) -> Table:
    rows = rows[rows["method"].isin(methods)]
    values = {(m, k): v for m, k, v in zip(rows["muscle"], rows["method"], rows["value"])}
    shown = [m for m in methods if any(k == m for _, k in values)]
    whole = title == "Bursts"

    def cell(key: tuple[str, str]) -> str:
        value = values.get(key, float("nan"))
        return f"{value:.0f}" if whole and np.isfinite(value) else number(value)

    muscles = list(dict.fromkeys(rows["muscle"]))
    return Table(title, ["", *shown], [[m, *(cell((m, k)) for k in shown)] for m in muscles])


def _bursts(summary: pd.DataFrame, most: int = 12) -> Table | None:
    """Onset and offset of the bursts in the raw EMG."""
    own = summary[summary["method"] == ENERGY_OPERATOR] if len(summary) else summary
    if own.empty:
        return None
    rows = []
    for muscle, group in own.groupby("muscle", sort=False):
        on = group[group["measure"] == "burst_onset"]["value"].to_numpy()
        off = group[group["measure"] == "burst_offset"]["value"].to_numpy()
        times = [f"{a:.2f}–{b:.2f}" for a, b in zip(on[:most], off[:most])]
        more = [f"and {len(on) - most} more"] if len(on) > most else []
        rows.append([str(muscle), str(len(on)), ",  ".join([*times, *more]) or "–"])
    return Table("Bursts in the raw EMG", ["", "number", "from–to (s)"], rows)


def _learning(result: StudyResult, styles: Mapping[str, str]) -> list[Markup]:
    return [
        figures.learning_curves(curves, f"{name} {fit}".strip(), styles[name])
        for name, method in result.methods.items()
        for fit, curves in method.curves.items()
    ]


def _searches(result: StudyResult, styles: Mapping[str, str]) -> list[Markup]:
    return [
        chart
        for name, method in result.methods.items()
        for fit, history in method.searches.items()
        for chart in search_charts(history, f"{name} {fit}".strip(), styles[name])
    ]
