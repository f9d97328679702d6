"""What is in a file, for people and as JSON."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from myodrive.io.files import read
from myodrive.muscles import name_muscles
from myodrive.recording import Alignment, Recording, is_uniform, sampling_rate

_MOST_EVENTS = 20  # labels that are printed


@dataclasses.dataclass(frozen=True)
class Summary:
    """What is in a file: `print` it, or take `to_dict` for JSON."""

    content: dict[str, Any]

    def to_dict(self) -> dict[str, Any]:
        """``file``, ``format``, ``duration_s``, ``subject`` …, ``signals``, ``channels``, ``events``, ``alignments``,
        ``warnings``."""
        return self.content

    def __str__(self) -> str:
        return _as_text(self.content)


def describe(thing: str | Path | Recording, **options: Any) -> Summary:
    """What is in a file or a Recording: what `myodrive info` prints.

    Parameters
    ----------
    thing : path or Recording
    **options
        As of `read`.

    Returns
    -------
    Summary
        Signals (rate, unit, shape, labels), channels (label, muscle and side as recognised, unit, and whether each is
        taken as EMG), events (label, side, count, first), alignments of clocks and warnings.
    """
    recording = thing if isinstance(thing, Recording) else read(thing, **options)
    content = {
        "file": recording.source.path,
        "format": recording.source.reader,
        "sha256": recording.source.sha256,
        **{k: getattr(recording, k) for k in ("subject", "session", "movement", "repetition")},
        "duration_s": recording.duration_s,
        "signals": {name: _describe_signal(signal) for name, signal in recording.signals.items()},
        "channels": _describe_channels(recording),
        "events": _describe_events(recording),
        "alignments": {name: _describe_alignment(a) for name, a in recording.alignments.items()},
        "warnings": list(recording.source.warnings),
    }
    return Summary(content)


def _describe_signal(signal: xr.DataArray) -> dict[str, Any]:
    rate = sampling_rate(signal)
    return {
        "rate_hz": None if np.isnan(rate) else rate,
        "uniform": is_uniform(signal),
        "start_s": float(signal.time[0]) if signal.sizes["time"] else None,
        "units": signal.attrs.get("units", ""),
        "shape": {str(d): int(n) for d, n in signal.sizes.items()},
        "labels": {
            str(d): [str(v) for v in signal[d].values] for d in signal.dims if d != "time" and d in signal.coords
        },
        "missing": round(float(np.mean(~np.isfinite(signal.values))), 6) if signal.dtype.kind == "f" else 0.0,
        **({"stage": signal.attrs["stage"]} if "stage" in signal.attrs else {}),
    }


def _describe_channels(recording: Recording) -> list[dict[str, Any]]:
    """The EMG with its muscles, and then the channels that were not taken as EMG."""
    rows = []
    for name, signal in recording.signals.items():
        if name == "emg" or name.startswith("emg_"):
            labels, unit = [str(v) for v in signal.muscle.values], signal.attrs.get("units", "")
            named = name_muscles(labels)
            if "name" in signal.coords and "side" in signal.coords:  # not where it was put together by hand
                named = [(str(m), str(s)) for m, s in zip(signal.coords["name"].values, signal.coords["side"].values)]
            rows += [
                {"label": c, "emg": True, "muscle": m, "side": s, "units": unit} for c, (m, s) in zip(labels, named)
            ]
    for name, signal in recording.signals.items():
        if name == "analog" or name.startswith("analog_"):
            units = (
                signal.coords["unit"].values
                if "unit" in signal.coords
                else [signal.attrs.get("units", "")] * signal.shape[1]
            )
            rows += [
                {"label": str(label), "emg": False, "muscle": "", "side": "", "units": str(u)}
                for label, u in zip(signal.channel.values, units)
            ]
    return rows


def _describe_events(recording: Recording) -> list[dict[str, Any]]:
    found: dict[tuple[str, str], list[float]] = {}
    for time, label, side in recording.events[["time", "label", "side"]].itertuples(index=False, name=None):
        found.setdefault((str(label), str(side)), []).append(float(time))
    return [{"label": label, "side": side, "count": len(t), "first_s": t[0]} for (label, side), t in found.items()]


def _describe_alignment(alignment: Alignment) -> dict[str, Any]:
    found = dataclasses.asdict(alignment)
    return {**found, "error_s": None if np.isnan(alignment.error_s) else alignment.error_s}


def _as_text(content: dict[str, Any]) -> str:
    who = ", ".join(f"{k} {content[k]}" for k in ("subject", "session", "movement", "repetition") if content[k])
    lines = [f"{content['file'] or 'recording'} ({content['format'] or 'in memory'}), {content['duration_s']:.2f} s"]
    lines += [f"  {who}"] if who else []
    lines.append("signals")
    for name, signal in content["signals"].items():
        shape = " × ".join(f"{n} {dim}" for dim, n in signal["shape"].items())
        rate = (
            "" if signal["rate_hz"] is None else f"{signal['rate_hz']:g} Hz{'' if signal['uniform'] else ' (variable)'}"
        )
        extra = [
            signal["units"],
            signal.get("stage", ""),
            f"{signal['missing']:.1%} missing" if signal["missing"] else "",
        ]
        lines.append(f"  {name:<12} {rate:>14}  {shape}  {', '.join(e for e in extra if e)}")
    if content["channels"]:
        width = max(len(c["label"]) for c in content["channels"])
        lines.append("channels")
        for c in content["channels"]:
            muscle = f"{c['side']} {c['muscle']}".strip() or "(muscle not recognised)"
            lines.append(f"  {c['label']:<{width}}  {'EMG: ' + muscle if c['emg'] else 'not EMG'}")
    if content["events"]:
        lines.append("events")
        for e in content["events"][:_MOST_EVENTS]:
            lines.append(
                f"  {e['count']} × {e['side']} {e['label']}".replace("×  ", "× ") + f", first at {e['first_s']:.3f} s"
            )
        if len(content["events"]) > _MOST_EVENTS:
            lines.append(f"  … and {len(content['events']) - _MOST_EVENTS} more labels")
    lines += ["clocks"] if content["alignments"] else []
    for name, a in content["alignments"].items():
        error = "" if a["error_s"] is None else f", ± {1e3 * a['error_s']:.2g} ms"
        lines.append(f"  {name:<12} moved by {a['offset_s']:.6g} s, {1e6 * a['drift']:.3g} ppm{error} ({a['method']})")
    lines += ["warnings", *(f"  {w}" for w in content["warnings"])] if content["warnings"] else []
    return "\n".join(lines)
