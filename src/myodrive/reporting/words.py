"""What the report says in words: verdicts on channels, numbers with sensible digits, the methods paragraph, citations."""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Iterable, Sequence
from typing import Any, Literal

import numpy as np
import pandas as pd
import xarray as xr
from markupsafe import Markup, escape

from myodrive.activation import Activation
from myodrive.conditioning.quality import Finding
from myodrive.evaluation.bursts import REFERENCES
from myodrive.evaluation.cocontraction import FALCONER_WINTER, RUDOLPH
from myodrive.evaluation.result import RecordingResult, StudyResult
from myodrive.evaluation.summary import ENERGY_OPERATOR

Light = Literal["good", "look", "masked"]
LIGHTS: dict[Light, str] = {"good": "good", "look": "worth a look", "masked": "left out"}

ONE_MEANS = {
    "mvc": "the maximum voluntary contraction",
    "task_maximum": "the maximum in these recordings",
    "q95": "the 95th percentile of the muscle's rectified EMG over the subject's recordings",
    "unit": "nothing known: the input was taken as it is",
}

METRICS = {
    "r2": "R²",
    "r": "r",
    "residual_r2": "single-trial residual R²",
    "event_mean_r2": "R² of the event mean",
    "odd_even_r": "r of odd and even cycles",
    "nrmse": "nRMSE",
    "vaf": "VAF",
    "mae": "mean absolute error",
    "peak_error": "error of the peak",
    "lag_s": "lag (s)",
    "coverage": "coverage of the interval",
    "interval_width": "width of the interval",
}
"""What the metrics of the scores are called in a figure."""


@dataclasses.dataclass(frozen=True)
class Unit:
    """The unit in which EMG is shown, and what to multiply with."""

    name: str
    factor: float


@dataclasses.dataclass(frozen=True)
class Channel:
    """One channel's traffic light, and why."""

    label: str
    name: str  # the muscle and side that the label was recognised as
    light: Light
    reasons: tuple[str, ...]


def shown_unit(emg: xr.DataArray) -> Unit:
    """A unit of volts that gives readable numbers for this recording; any other unit stays as it is."""
    units = str(emg.attrs.get("units", "")).replace("u", "µ").replace("μ", "µ")
    volts = {"V": 1.0, "mV": 1e-3, "µV": 1e-6}
    finite = np.abs(emg.values[np.isfinite(emg.values)])
    if units not in volts or not finite.size:
        return Unit(units, 1.0)
    typical = float(np.quantile(finite, 0.99)) * volts[units]
    name = "µV" if typical < 1e-3 else "mV" if typical < 1 else "V"
    return Unit(name, volts[units] / volts[name])


def number(value: float, digits: int = 3) -> str:
    """A number with so many significant digits, without an exponent where it can be avoided.

    Examples
    --------
    >>> number(0.123456), number(1234.5), number(float("nan")), number(2.0)
    ('0.123', '1234', '–', '2.00')
    """
    if not math.isfinite(value):
        return "–"
    if value == 0:
        return "0"
    decimals = max(0, digits - 1 - math.floor(math.log10(abs(value))))
    text = f"{value:.{digits - 1}e}" if abs(value) < 1e-4 else f"{value:.{decimals}f}"
    return text.replace("-", "−")


def plural(n: int, word: str) -> str:
    """``1 recording``, ``3 recordings``."""
    return f"{n} {word}{'' if n == 1 else 's'}"


def listed(words: Sequence[str]) -> str:
    """``a``, ``a and b``, ``a, b and c``."""
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)


def channels(result: RecordingResult) -> list[Channel]:
    """A verdict on each channel of a recording, in its order."""
    emg = result.recording["emg"]
    names = emg["name"].values if "name" in emg.coords else [""] * emg.sizes["muscle"]
    sides = emg["side"].values if "side" in emg.coords else [""] * emg.sizes["muscle"]
    rows = []
    for label, name, side in zip(emg.muscle.values, names, sides):
        own = [f for f in result.findings if f.muscle == str(label)]
        words = " ".join(w for w in (str(side), str(name)) if w)
        rows.append(Channel(str(label), words, _light(own), tuple(sentence(f.text) for f in own)))
    return rows


def sentence(text: str) -> str:
    """With a capital letter at the start and a full stop at the end."""
    text = text.strip()
    return text[:1].upper() + text[1:] + ("" if text.endswith((".", "!", "?")) else ".") if text else ""


def remarks(result: RecordingResult) -> list[str]:
    """What was found of the recording as a whole, and what its reader had to warn of."""
    texts = [f.text for f in result.findings if not f.muscle] + list(result.recording.source.warnings)
    texts += [note for activation in result.estimates.values() for note in activation.notes]
    return [sentence(text) for text in dict.fromkeys(texts)]


def not_scored(scores: pd.DataFrame) -> list[str]:
    """Why there is no score for a task."""
    if scores.empty or "note" not in scores:
        return []
    rows = scores[scores["metric"] == ""]
    return [sentence(f"{task}: {note}") for task, note in zip(rows["task"], rows["note"])]


def _light(findings: Iterable[Finding]) -> Light:
    findings = list(findings)
    if any(f.masked and not math.isfinite(f.start_s) for f in findings):
        return "masked"
    return "look" if findings else "good"


def in_short(result: StudyResult, verdicts: Sequence[Sequence[Channel]]) -> list[str]:
    """The few sentences at the top."""
    every = [c for one in verdicts for c in one]
    count = {light: sum(c.light == light for c in every) for light in LIGHTS}
    sentences = [
        f"{plural(len(result.recordings), 'recording')} with {plural(len(every), 'EMG channel')}: "
        f"{count['good']} good, {count['look']} worth a look, {count['masked']} left out of every estimate."
    ]
    methods = list(result.methods) or sorted({m for r in result.recordings for m in r.estimates})
    if methods:
        means = sorted({a.relative_to for r in result.recordings for a in r.estimates.values()})
        one = "; ".join(ONE_MEANS[m] for m in means)
        sentences.append(f"Activation was estimated by {listed(methods)}. An activation of 1 means {one}.")
    sentences += _beside_references(result)
    none = [r.recording.label for r in result.recordings if not r.estimates]
    if none:
        sentences.append(f"There is no estimate for {listed(none)}: see there for the reason.")
    if result.failed:
        sentences.append(f"{plural(len(result.failed), 'file')} could not be used; the end of this report says why.")
    return sentences


def _beside_references(result: StudyResult) -> list[str]:
    """The median R² of every method beside the references, for the task that says most."""
    tables = [r.scores for r in result.recordings if len(r.scores)]
    if not tables:
        return []
    scores = pd.concat(tables, ignore_index=True)
    scores = scores[(scores["metric"] == "r2") & np.isfinite(scores["value"])]
    tasks = [t for t in dict.fromkeys(scores["task"]) if t == "truth" or t.startswith("decoding")]
    if not tasks:
        return []
    own = scores[scores["task"] == min(tasks, key=lambda t: t != "truth")]
    medians = own.groupby("method", sort=False)["value"].median().sort_values(ascending=False)
    what = "against the known activation" if own["task"].iloc[0] == "truth" else f"in {own['task'].iloc[0]}"
    return [f"Median R² {what}, beside the references: {', '.join(f'{m} {number(v, 2)}' for m, v in medians.items())}."]


def conditioning_text(activation: Activation, stage: str) -> str:
    """What was done to the EMG before the estimators saw it, from the configuration that was really used.

    Parameters
    ----------
    activation : Activation
    stage : str
        One of `EMG_STAGES`: what the input had been through already.
    """
    options = activation.configuration.get("conditioning", {})
    steps = _filters(options, activation.notes) if stage == "raw" else []
    if stage in ("raw", "filtered"):
        steps.append("full-wave rectification")
    if options.get("resample_hz"):
        steps.append(f"polyphase resampling to {options['resample_hz']:g} Hz where the recording was faster")
    if options.get("clip_quantile", 1) < 1:
        steps.append(f"clipping at the {options['clip_quantile']:g} quantile")
    if not steps:
        return ""
    start = {
        "raw": "The raw EMG was conditioned by",
        "filtered": "The EMG had been filtered already; it was conditioned by",
        "rectified": "The EMG had been rectified already; it was conditioned by",
        "envelope": "The input was an envelope already, so nothing that assumes raw EMG was applied; it was conditioned by",
    }[stage]
    one = ONE_MEANS[activation.relative_to]
    if activation.relative_to == "q95" and options.get("scale_quantile", 0.95) != 0.95:
        one = one.replace("95th percentile", f"{options['scale_quantile']:g} quantile")
    if activation.relative_to in ("mvc", "task_maximum"):
        one += f" (the largest mean over a moving window of {options.get('peak_window_s', 0.5):g} s)"
    return f"{start} {listed(steps)}, and divided by a scale so that 1 means {one}."


def _filters(options: dict[str, Any], notes: Sequence[str]) -> list[str]:
    steps = [f"a notch filter at {c:g} Hz ({w:g} Hz wide)" for c, w in options.get("notch_hz", ())]
    ecg = options.get("ecg")
    edges = {"high-pass": options.get("highpass_hz"), "low-pass": options.get("lowpass_hz")}
    if ecg == "high-pass":
        edges["high-pass"] = max(edges["high-pass"] or 0.0, options.get("ecg_highpass_hz", 0.0))
    order = _ordinal(options.get("highpass_order", 4))
    steps += [f"a zero-phase {order}-order Butterworth {k} filter at {hz:g} Hz" for k, hz in edges.items() if hz]
    if ecg == "template" and not any("no heartbeats were found" in note for note in notes):
        where = f" from {listed(options['ecg_muscles'])}" if options.get("ecg_muscles") else ""
        steps.append(f"subtraction of the median heartbeat{where}")
    return steps


def methods_paragraphs(result: StudyResult, has_cycles: bool) -> tuple[list[Markup], list[Markup]]:
    """The methods section as it can go into a paper: paragraphs with numbered citations, and the list they point to."""
    sources: list[str] = []

    def cite(references: Iterable[str]) -> Markup:
        numbers = []
        for reference in references:
            if reference not in sources:
                sources.append(reference)
            at = sources.index(reference) + 1
            numbers.append(Markup('<a href="#ref%d">%d</a>') % (at, at))
        return Markup(" [%s]") % Markup(", ").join(numbers) if numbers else Markup("")

    paragraphs = [Markup("%s") % text for text in _conditioning_texts(result)]
    for name, method in result.methods.items():
        paragraphs.append(Markup("<b>%s.</b> %s%s") % (name, method.text, cite(method.references)))
    measures = {m for r in result.recordings if len(r.summary) for m in r.summary["measure"].unique()}
    found = {m for r in result.recordings if len(r.summary) for m in r.summary["method"].unique()}
    if "burst_count" in measures:
        double = Markup("Bursts in the activations were found by a double threshold, on amplitude and on duration%s")
        paragraph = double % cite(REFERENCES["double threshold"])
        if ENERGY_OPERATOR in found:
            energy = Markup(", and bursts in the raw EMG by the Teager–Kaiser energy operator%s")
            paragraph += energy % cite(REFERENCES["energy operator"])
        paragraphs.append(paragraph + ".")
    if any(m.startswith("cocontraction") for m in measures):
        paragraphs.append(
            Markup(
                "Co-contraction of opposing muscles is given as the common part of both activities in per cent%s, and "
                "as the mean of min/max · (min + max)%s."
            )
            % (cite([FALCONER_WINTER]), cite([RUDOLPH]))
        )
    if has_cycles:
        paragraphs.append(
            Markup(
                "Cycles, from the recording's events or, without any, from the repetition of its signals, were stretched "
                "to 0–100 % of their own length; averages are shown with one standard deviation."
            )
        )
    return paragraphs, [linked(s) for s in sources]


def _conditioning_texts(result: StudyResult) -> list[str]:
    """One sentence for each conditioning that occurs."""
    texts: dict[str, None] = {}
    for one in result.recordings:
        for activation in one.estimates.values():
            text = conditioning_text(activation, str(one.recording["emg"].attrs.get("stage", "raw")))
            if text:
                texts[text] = None
    return list(texts)


def linked(reference: str) -> Markup:
    """A reference with its DOI as a link."""
    text = escape(reference)
    pattern = r"(?:https://doi\.org/|doi:\s?)?(10\.\d{4,9}/[^\s,;<>]*[^\s,;<>.])"
    return Markup(re.sub(pattern, r'<a href="https://doi.org/\1">doi:\1</a>', str(text)))


def _ordinal(n: Any) -> str:
    return f"{n}{ {1: 'st', 2: 'nd', 3: 'rd'}.get(int(n), 'th') }"
