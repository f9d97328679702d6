"""The signals of one recording, packed for the interactive plot: small, and still with detail to zoom into.

Raw EMG is quantised to 8 bits on a square-law scale (value = peak · q·|q| / 127²: fine near zero, where the eye looks,
and within 1.6 % of the peak at worst); estimates and their intervals to 16 bits. All is deflated and put into the page
as base64. Where a recording has more samples than its share of the file, blocks of samples become their least and
largest value, so that a spike is never lost, and the report says so.
"""

from __future__ import annotations

import base64
import dataclasses
import json
import zlib
from typing import Any

import numpy as np
import xarray as xr
from jaxtyping import Float
from markupsafe import Markup

from myodrive.activation import Activation
from myodrive.evaluation.result import RecordingResult
from myodrive.evaluation.summary import ENERGY_OPERATOR
from myodrive.recording import sampling_rate
from myodrive.reporting.words import Unit, shown_unit

RAW_BYTES, RAW_BYTES_STUDY = 1_000_000, 10_000_000  # before compression, of one recording and of the whole report
ESTIMATE_BYTES, ESTIMATE_BYTES_STUDY = 1_600_000, 9_000_000
ESTIMATE_HZ = 100.0  # an estimate of muscle activity has next to nothing above 20 Hz
REACH = (
    20.0  # times the height of its row: where EMG is cut off, so that an artefact of 1 V does not cost it its digits
)


@dataclasses.dataclass(frozen=True)
class Traces:
    """What the template puts into the page for one recording."""

    header: Markup  # JSON, safe inside a script element
    data: str  # base64
    note: str  # what was simplified
    has_masked: bool  # whether any stretch is grey


def pack_traces(result: RecordingResult, n_recordings: int) -> Traces:
    """Pack raw EMG, estimates, intervals, truth, events, bursts and masked stretches.

    Parameters
    ----------
    result : RecordingResult
    n_recordings : int
        How many recordings share the file.
    """
    emg = result.recording["emg"]
    muscles = [str(m) for m in emg.muscle.values]
    unit = shown_unit(emg)
    arrays = _Arrays()
    rows = _rows(result, muscles, unit)
    reach = [REACH * row["peak"] for row in rows]
    block = _pack_raw(arrays, emg, unit, reach, min(RAW_BYTES, RAW_BYTES_STUDY // n_recordings))
    _pack_estimates(arrays, result, muscles, min(ESTIMATE_BYTES, ESTIMATE_BYTES_STUDY // n_recordings))
    time = emg.time.values
    events = result.recording.events
    masked = _masked(result, muscles, time)
    header = {
        "start": float(time[0]),
        "stop": float(time[-1]),
        "unit": unit.name,
        "signed": bool(np.nanmin(emg.values, initial=0.0) < 0),
        "muscles": rows,
        "arrays": arrays.described,
        "events": [[float(t), str(label), str(side)] for t, label, side in events.itertuples(index=False)],
        "masked": masked,
        "bursts": _bursts(result, muscles),
    }
    content = json.dumps(header, separators=(",", ":"), allow_nan=False).replace("<", "\\u003c")
    data = base64.b64encode(zlib.compress(b"".join(arrays.pieces))).decode("ascii")
    note = f"The raw EMG is shown as the least and the largest of every {block} samples." if block > 1 else ""
    return Traces(Markup(content), data, note, bool(masked))


class _Arrays:
    """Arrays put behind each other, with what is needed to take them apart."""

    def __init__(self) -> None:
        self.described: list[dict[str, Any]] = []
        self.pieces: list[bytes] = []

    def add(
        self, values: Float[np.ndarray, " time"], kind: str, muscle: int, method: str, start: float, rate: float
    ) -> None:
        peak = float(np.nanmax(np.abs(values))) if np.isfinite(values).any() else 0.0
        share = values / peak if peak > 0 else values
        encode = _square_law if kind == "raw" else _differences
        what = {"kind": kind, "muscle": muscle, "method": method}
        self.described.append({**what, "start": start, "rate": rate, "n": values.size, "peak": peak})
        self.pieces.append(encode(share))


def _square_law(share: Float[np.ndarray, " time"]) -> bytes:
    """Values between −1 and 1 in 8 bits, fine near zero; −128 is a missing sample."""
    coded = np.rint(127 * np.sign(share) * np.sqrt(np.abs(share)))
    return np.where(np.isfinite(coded), np.nan_to_num(coded), -128).astype(np.int8).tobytes()


def _differences(share: Float[np.ndarray, " time"]) -> bytes:
    """Values between −1 and 1 in 16 bits, as differences that wrap, all low bytes before all high bytes.

    Neighbours are alike, so that this deflates to a third. −32768 is a missing sample.
    """
    coded = np.rint(32767 * share)
    whole = np.where(np.isfinite(coded), np.nan_to_num(coded), -32768).astype("<i2")
    steps = np.diff(whole, prepend=np.zeros(1, "<i2")).astype("<i2")
    return steps.view(np.uint8).reshape(-1, 2).T.tobytes()


def _pack_raw(arrays: _Arrays, emg: xr.DataArray, unit: Unit, reach: list[float], budget: int) -> int:
    """Every channel as it was recorded; gives the number of samples that one shown extreme stands for."""
    values, start, rate = on_grid(emg)
    block = int(np.ceil(2 * values.size / budget)) if values.size > budget else 1
    for muscle in range(values.shape[1]):
        column = np.clip(values[:, muscle] * unit.factor, -reach[muscle], reach[muscle])
        if block > 1:
            column = _extremes(column, block)
        arrays.add(column, "raw", muscle, "", start, rate * (2 / block if block > 1 else 1))
    return block


def _pack_estimates(arrays: _Arrays, result: RecordingResult, muscles: list[str], budget: int) -> None:
    shown = _shown(result)
    numbers = sum(a.activation.size / a.sampling_rate * (3 if a.has_interval else 1) for a in shown.values())
    highest = min(ESTIMATE_HZ, budget / 2 / numbers) if numbers else ESTIMATE_HZ
    for method, activation in shown.items():
        kinds = ("mean", "lower", "upper") if activation.has_interval else ("mean",)
        for kind in kinds:
            signal = activation.dataset["activation" if kind == "mean" else kind].where(activation.valid)
            values, start, rate = on_grid(signal)
            block = max(1, int(np.ceil(rate / highest)))
            for column, label in enumerate(activation.muscles):
                if label in muscles and np.isfinite(values[:, column]).any():
                    means = _means(values[:, column], block)
                    first = start + (block - 1) / 2 / rate
                    arrays.add(means, kind, muscles.index(label), method, first, rate / block)


def _shown(result: RecordingResult) -> dict[str, Activation]:
    """The activations that can be drawn on the recording's clock; what lies below the others comes first."""
    truth = {"truth": result.truth} if result.truth is not None else {}
    return {m: a for m, a in {**truth, **result.estimates}.items() if a.activation.dims == ("time", "muscle")}


def _rows(result: RecordingResult, muscles: list[str], unit: Unit) -> list[dict[str, Any]]:
    """Each muscle's label and what its row reaches up to: of the EMG that is not masked, and of the estimates."""
    emg = result.recording["emg"]
    kept = result.masked["emg"]
    rows = []
    for muscle in muscles:
        own = kept.sel(muscle=muscle).values
        own = own if np.isfinite(own).any() else emg.sel(muscle=muscle).values
        tops = [
            a.activation.where(a.valid).sel(muscle=muscle).values
            for a in _shown(result).values()
            if muscle in a.muscles
        ]
        peak = 1.1 * unit.factor * _quantile(own, 0.9995)
        top = 1.2 * max([_quantile(t, 0.999) for t in tops], default=0.0)
        rows.append({"label": muscle, "peak": peak or 1.0, "top": top or 1.0})
    return rows


def _quantile(values: np.ndarray, share: float) -> float:
    known = np.abs(values[np.isfinite(values)])
    return float(np.quantile(known, share)) if known.size else 0.0


def on_grid(signal: xr.DataArray) -> tuple[Float[np.ndarray, "tick muscle"], float, float]:
    """Values on an unbroken clock with its start and rate, NaN where the recording has a gap."""
    time, rate = signal.time.values, sampling_rate(signal)
    places = np.rint((time - time[0]) * rate).astype(int)
    values = np.full((int(places[-1]) + 1, signal.sizes["muscle"]), np.nan)
    values[places] = np.where(np.isfinite(signal.values), signal.values, np.nan)
    return values, float(time[0]), rate


def _blocks(values: Float[np.ndarray, " time"], block: int) -> Float[np.ndarray, "n size"]:
    padded = np.pad(values, (0, -values.size % block), constant_values=np.nan)
    return padded.reshape(-1, block)


def _extremes(values: Float[np.ndarray, " time"], block: int) -> Float[np.ndarray, " pairs"]:
    """Least and largest of every block, behind each other; NaN where a block has none."""
    blocks = _blocks(values, block)
    known = np.isfinite(blocks)
    low = np.where(known, blocks, np.inf).min(axis=1)
    high = np.where(known, blocks, -np.inf).max(axis=1)
    pairs = np.stack([low, high], axis=1).ravel()
    return np.where(np.isfinite(pairs), pairs, np.nan)


def _means(values: Float[np.ndarray, " time"], block: int) -> Float[np.ndarray, " n"]:
    """Mean of every block over what is known of it."""
    blocks = _blocks(values, block)
    known = np.isfinite(blocks)
    n = known.sum(axis=1)
    return np.where(n > 0, np.where(known, blocks, 0.0).sum(axis=1) / np.maximum(n, 1), np.nan)


def _masked(result: RecordingResult, muscles: list[str], time: np.ndarray) -> list[list[Any]]:
    """[muscle, start, stop, why] of everything that is kept out of the estimates."""
    stretches: dict[tuple[int, float, float], list[str]] = {}
    for finding in result.findings:
        if finding.masked:
            start = float(finding.start_s if np.isfinite(finding.start_s) else time[0])
            stop = float(finding.stop_s if np.isfinite(finding.stop_s) else time[-1])
            for i, muscle in enumerate(muscles):
                if finding.muscle in ("", muscle):
                    stretches.setdefault((i, start, stop), []).append(finding.kind)
    return [[*where, ", ".join(dict.fromkeys(kinds))] for where, kinds in stretches.items()]


def _bursts(result: RecordingResult, muscles: list[str]) -> list[list[float]]:
    """[muscle, onset, offset] of the bursts of the raw EMG."""
    if result.summary.empty:
        return []
    chosen = result.summary[result.summary["method"] == ENERGY_OPERATOR]
    on = chosen[chosen["measure"] == "burst_onset"]
    off = chosen[chosen["measure"] == "burst_offset"]
    return [
        [muscles.index(m), float(a), float(b)]
        for m, a, b in zip(on["muscle"], on["value"], off["value"])
        if m in muscles
    ]
