"""Recording and Study: what was measured, each signal on its own clock."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Hashable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from jaxtyping import Bool, Float, Num

from myodrive.errors import SignalError

EMG_STAGES = ("raw", "filtered", "rectified", "envelope")
"""How far the EMG has been processed: as recorded; notch and high-pass; also rectified; also smoothed."""


@dataclasses.dataclass(frozen=True)
class Source:
    """Where a recording came from."""

    path: str = ""  # the file's name, never its folder: recordings are sent to colleagues
    sha256: str = ""
    reader: str = ""
    warnings: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True)
class Alignment:
    """How a signal's own clock was tied to the recording's: time = offset_s + (1 + drift) · device time.

    `error_s` is the standard deviation of what remains; NaN where one stated number leaves nothing to check it by.
    """

    method: str  # "trigger", "shared signal" or "stated"
    offset_s: float
    drift: float = 0.0  # seconds per second
    error_s: float = float("nan")
    n_points: int = 0


@dataclasses.dataclass(frozen=True)
class Recording:
    """One trial or session: named signals on their own clocks, events, and who did what.

    Parameters
    ----------
    signals : dict of str to DataArray
        Each has a dimension ``time`` in seconds on its own clock, labels on its other dimensions, and ``units`` among
        its attributes. Usual names: ``emg`` (time, muscle; its attribute ``stage`` is one of `EMG_STAGES`),
        ``markers`` (time, marker, axis), ``angles`` and ``moments`` (time, joint), ``forces`` (time, channel),
        ``pose``, ``simulated``, ``activation`` (time, muscle). The muscles of ``emg`` carry the coordinates ``name``
        (the muscle that the label was recognised as, or "") and ``side`` ("left", "right" or "").
    events : DataFrame, optional
        Columns ``time`` (s), ``label``, ``side`` ("left", "right" or "").
    subject, session, movement, repetition : str
        Who, when, what, which time.
    source : Source
        The file, its hash, its reader and what the reader had to warn of.
    alignments : dict of str to Alignment
        For each signal that was moved from a clock of its own.
    info : dict
        Anything else the file says, as JSON allows: body mass, force plates, device.

    Raises
    ------
    SignalError
        If a signal has no ``time`` in seconds, or time runs backwards.
    """

    signals: dict[str, xr.DataArray]
    events: pd.DataFrame = dataclasses.field(default_factory=lambda: make_events([]))
    subject: str = ""
    session: str = ""
    movement: str = ""
    repetition: str = ""
    source: Source = dataclasses.field(default_factory=Source)
    alignments: dict[str, Alignment] = dataclasses.field(default_factory=dict)
    info: dict[str, Any] = dataclasses.field(default_factory=dict)

    def __post_init__(self) -> None:
        for name, signal in self.signals.items():
            check_signal(signal, where=f"{self.source.path or 'recording'}, signal '{name}'")

    def __getitem__(self, name: str) -> xr.DataArray:
        """The signal of that name.

        Raises
        ------
        SignalError
            If there is none; the message lists what there is.
        """
        if name not in self.signals:
            raise SignalError(
                f"no signal '{name}'. Found: {', '.join(self.signals) or 'nothing'}.",
                where=self.source.path or "recording",
                remedy="`myodrive info FILE` lists every channel; name the EMG channels with --emg (emg=[…] in Python).",
            )
        return self.signals[name]

    def __contains__(self, name: str) -> bool:
        return name in self.signals

    @property
    def label(self) -> str:
        """A short name for tables and plots: the file, or who did what."""
        parts = [self.subject, self.session, self.movement, self.repetition]
        return Path(self.source.path).name or " ".join(p for p in parts if p) or "recording"

    @property
    def duration_s(self) -> float:
        """Time between the first and the last sample of any signal, in seconds."""
        ends = [(float(s.time[0]), float(s.time[-1])) for s in self.signals.values() if s.sizes["time"]]
        return max(e for _, e in ends) - min(s for s, _ in ends) if ends else 0.0

    def replace(self, **changes: Any) -> Recording:
        """A copy with some fields changed."""
        return dataclasses.replace(self, **changes)

    def with_signal(self, name: str, signal: xr.DataArray) -> Recording:
        """A copy with one signal added or replaced."""
        return self.replace(signals={**self.signals, name: signal})

    def __repr__(self) -> str:
        lines = [f"<Recording {self.label!r}: {self.duration_s:.2f} s, {len(self.events)} events>"]
        for name, signal in self.signals.items():
            shape = ", ".join(f"{d} {n}" for d, n in signal.sizes.items())
            lines.append(f"  {name:<12} {sampling_rate(signal):9.6g} Hz  ({shape})  {signal.attrs.get('units', '')}")
        return "\n".join(lines)


@dataclasses.dataclass(frozen=True)
class Study:
    """A list of recordings that belong together."""

    recordings: tuple[Recording, ...]
    name: str = ""

    def __init__(self, recordings: Iterable[Recording], name: str = "") -> None:
        object.__setattr__(self, "recordings", tuple(recordings))
        object.__setattr__(self, "name", name)

    def __len__(self) -> int:
        return len(self.recordings)

    def __iter__(self) -> Iterator[Recording]:
        return iter(self.recordings)

    def __getitem__(self, index: int) -> Recording:
        return self.recordings[index]

    @property
    def subjects(self) -> list[str]:
        """The subjects in order of first appearance."""
        return list(dict.fromkeys(r.subject for r in self))

    def where(self, **labels: str) -> Study:
        """The recordings with these labels: ``study.where(subject="HC002D", movement="Straight")``."""
        return Study([r for r in self if all(getattr(r, k) == v for k, v in labels.items())], self.name)


def make_signal(
    values: Num[np.ndarray, "..."],
    dims: Sequence[str],
    labels: dict[str, Sequence[str]],
    *,
    units: str,
    rate_hz: float | None = None,
    time: Num[np.ndarray, " time"] | None = None,
    start_s: float = 0.0,
    **attrs: Hashable,
) -> xr.DataArray:
    """Put values, labels, clock and unit together.

    Parameters
    ----------
    values : array
        In the order of `dims`; floating point, or integers where the file had integers.
    dims : sequence of str
        For example ``("time", "muscle")``.
    labels : dict
        The labels of each dimension other than ``time``.
    units : str
        "V", "mm", "deg", "1", …
    rate_hz, time
        Either the sampling rate, with `start_s`, or the time of every sample in seconds.
    **attrs
        Further attributes, such as ``stage="raw"``.
    """
    if time is None:
        if rate_hz is None or not rate_hz > 0:
            raise SignalError(f"a signal needs a positive sampling rate or the time of each sample, not {rate_hz!r}.")
        time = start_s + np.arange(np.shape(values)[list(dims).index("time")]) / rate_hz
    coords: dict[str, Any] = {"time": ("time", np.asarray(time, dtype=np.float64), {"units": "s"})}
    for dim, names in labels.items():
        coords[dim] = (dim, np.asarray(list(names), dtype=object).astype(str))
    return xr.DataArray(values, dims=tuple(dims), coords=coords, attrs={"units": units, **attrs})


def make_events(rows: Iterable[tuple[float, str, str]]) -> pd.DataFrame:
    """A table of events from (time in s, label, side), sorted by time."""
    table = pd.DataFrame(list(rows), columns=["time", "label", "side"])
    table = table.astype({"time": "float64", "label": "object", "side": "object"})
    return table.sort_values("time", kind="stable", ignore_index=True)


def check_signal(signal: xr.DataArray, *, where: str = "signal") -> None:
    """Raise `SignalError` unless the signal has a ``time`` in seconds that never runs backwards or stands still."""
    if "time" not in signal.dims:
        raise SignalError(f"no dimension 'time' among {tuple(signal.dims)}.", where=where)
    if "time" not in signal.coords:
        raise SignalError("the dimension 'time' has no coordinate in seconds.", where=where)
    time = signal.time.values
    if not np.issubdtype(time.dtype, np.floating) or not np.all(np.isfinite(time)):
        raise SignalError("time is not a finite number of seconds everywhere.", where=where)
    backwards = np.flatnonzero(np.diff(time) <= 0)
    if backwards.size:
        i = int(backwards[0])
        raise SignalError(
            f"time does not increase at sample {i + 1} ({time[i]:g} s, then {time[i + 1]:g} s).",
            where=where,
            remedy="Sort or de-duplicate the rows of the file.",
        )


def sampling_rate(signal: xr.DataArray) -> float:
    """The sampling rate in Hz from the signal's own clock; NaN with fewer than two samples.

    The median step decides, so that gaps do not count; where there are none the whole length gives the precision.
    """
    time = signal.time.values
    if time.size < 2:
        return float("nan")
    step = float(np.median(np.diff(time)))
    whole = float((time[-1] - time[0]) / (time.size - 1))
    step = whole if abs(whole - step) < 1e-3 * step else step
    rate = 1.0 / step
    return float(round(rate)) if abs(rate - round(rate)) < 1e-6 * rate else rate


def is_uniform(signal: xr.DataArray, tolerance: float = 1e-2) -> bool:
    """Whether every step is the same to within `tolerance` of a step."""
    steps = np.diff(signal.time.values)
    return bool(steps.size == 0 or np.ptp(steps) <= tolerance * np.median(steps))


def gap_free_runs(time: Float[np.ndarray, " time"], finite: Bool[np.ndarray, " time"]) -> list[slice]:
    """The stretches that a filter may treat as one: finite samples in a row, with no jump of the clock between them.

    A step of more than one and a half times the median step is a jump. Nothing in the package crosses a border
    between two of these slices.
    """
    if not np.any(finite):
        return []
    step = np.median(np.diff(time)) if time.size > 1 else np.inf
    breaks = np.flatnonzero(np.diff(time) > 1.5 * step) + 1
    slices = []
    for start, stop in zip([0, *breaks], [*breaks, time.size]):
        edges = np.flatnonzero(np.diff(np.r_[False, finite[start:stop], False].astype(np.int8)))
        slices += [slice(int(start + a), int(start + b)) for a, b in zip(edges[::2], edges[1::2])]
    return slices


def data_hash(*signals: xr.DataArray) -> str:
    """SHA-256 over the values, labels and clocks of signals: the same data give the same hash, whatever file held them."""
    digest = hashlib.sha256()
    for signal in signals:
        digest.update(repr(tuple(signal.sizes.items())).encode())
        for dim in signal.dims:
            if dim in signal.coords:
                values = signal.coords[dim].values
                digest.update(values.tobytes() if values.dtype.kind in "fiu" else repr(list(map(str, values))).encode())
        digest.update(np.ascontiguousarray(signal.values).tobytes())
    return digest.hexdigest()
