"""Another file of the same recording, from a device with a clock of its own: joined, and how a study.toml says it."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from math import isfinite
from pathlib import Path
from typing import Any

import xarray as xr

from myodrive.errors import MyodriveError, OptionError, SignalError
from myodrive.io.channels import free_name
from myodrive.io.files import read
from myodrive.recording import Alignment, Recording, make_events

WAYS: dict[str, tuple[str, ...]] = {
    # how clocks are tied together: what may be said beside it
    "trigger": ("reference", "threshold", "reference_threshold", "near_s", "tolerance_s"),
    "shared_signal": ("reference", "max_offset_s", "window_s"),
    "offset_s": ("drift",),
}
_WORDS = ("trigger", "shared_signal", "reference")  # whose values are labels of channels; all others are numbers
_POSITIVE = ("tolerance_s", "max_offset_s", "window_s")
_MOST_LABELS = 20  # that a message lists


@dataclasses.dataclass(frozen=True)
class Device:
    """One more file of a recording, not read yet, and how its clock is tied to the recording's.

    Parameters
    ----------
    path : path
    alignment : mapping
        One of `WAYS` with its value (a channel's label; for ``offset_s`` seconds), and what may be said beside it.
    options : mapping
        Of `read`: emg, already, …

    Raises
    ------
    OptionError
        If there is none or more than one of `WAYS`, or something that does not go with it.
    """

    path: Path
    alignment: Mapping[str, Any]
    options: Mapping[str, Any] = dataclasses.field(default_factory=dict)

    def __post_init__(self) -> None:
        ways = [key for key in self.alignment if key in WAYS]
        if len(ways) != 1:
            raise OptionError(
                f"its clock is tied by {' and '.join(ways) or 'nothing'}.",
                where=self.path,
                remedy=f"Say exactly one of {', '.join(WAYS)}.",
            )
        for key, value in self.alignment.items():
            if key != ways[0] and key not in WAYS[ways[0]]:
                raise OptionError(f"{key} does not go with {ways[0]}.", where=self.path)
            if wanted := _wanted(key, value):
                raise OptionError(f"{key} is {wanted}, not {value!r}.", where=self.path)

    def add_to(self, recording: Recording, file: Path) -> Recording:
        """Read it, find its alignment, and join it to the recording that was read from `file`."""
        device = read(self.path, **self.options)
        try:
            return add_device(recording, device, self._align(device, recording, file))
        except MyodriveError as error:
            raise error.at(f"{self.path.name} beside {file.name}") from error

    def _align(self, device: Recording, recording: Recording, file: Path) -> Alignment:
        from myodrive.clocks import align_by_shared_signal, align_by_trigger, pulse_times  # SciPy: only where needed

        said = dict(self.alignment)
        if "offset_s" in said:
            return Alignment("stated", **said)
        label = said.pop("trigger" if "trigger" in said else "shared_signal")
        own, other = _channel(device, label, self.path), _channel(recording, said.pop("reference", label), file)
        if "shared_signal" in self.alignment:
            return align_by_shared_signal(own, other, **said)
        pulses = pulse_times(own, said.pop("threshold", None))
        return align_by_trigger(pulses, pulse_times(other, said.pop("reference_threshold", None)), **said)


def add_device(recording: Recording, device: Recording, alignment: Alignment) -> Recording:
    """The recording with everything that another device recorded meanwhile, moved to the recording's clock.

    Parameters
    ----------
    recording : Recording
        Whose clock, name and labels the result has.
    device : Recording
        Its signals keep their names; where one is taken it becomes ``analog_2`` and so on.
    alignment : Alignment
        From `align_by_trigger`, `align_by_shared_signal`, or stated: ``Alignment("stated", offset_s=0.035)``.

    Returns
    -------
    Recording
        Its events are those of both. Its source has both hashes, joined by "+".

    Raises
    ------
    OptionError
        If offset or drift is not a usable number, or a signal of the device was aligned before.
    """
    from myodrive.clocks import align

    moved = align(device, list(device.signals), alignment)
    signals, alignments = dict(recording.signals), dict(recording.alignments)
    for name, signal in moved.signals.items():
        free = free_name(name, signals)
        signals[free], alignments[free] = signal, alignment
    events = device.events.assign(time=alignment.offset_s + (1.0 + alignment.drift) * device.events["time"])
    both = [row for table in (recording.events, events) for row in _rows(table)]
    source = dataclasses.replace(
        recording.source,
        sha256="+".join(s.sha256 for s in (recording.source, device.source) if s.sha256),
        warnings=(*recording.source.warnings, *(f"{device.label}: {w}" for w in device.source.warnings)),
    )
    return recording.replace(
        signals=signals,
        events=make_events(both),
        alignments=alignments,
        source=source,
        info={**device.info, **recording.info},
    )


def _wanted(key: str, value: Any) -> str:
    """What the value of a key should be; nothing if it is that."""
    if key in _WORDS:
        return "" if isinstance(value, str) else "a channel's label"
    number = isinstance(value, (int, float)) and not isinstance(value, bool) and isfinite(value)
    if key in _POSITIVE:
        return "" if number and value > 0 else "a positive number"
    return "" if number else "a number"


def _rows(events: Any) -> list[tuple[float, str, str]]:
    return list(events[["time", "label", "side"]].itertuples(index=False, name=None))


def _channel(recording: Recording, label: str, file: Path) -> xr.DataArray:
    """The one channel (time,) of that label, in whatever signal it is."""
    labels: list[str] = []
    triggers_first = sorted(recording.signals.items(), key=lambda item: not item[0].startswith("analog"))
    for _, signal in triggers_first:
        if signal.ndim == 2:
            mine = [str(v) for v in signal[signal.dims[1]].values]
            if label in mine:
                return signal[:, mine.index(label)]
            labels += mine
    more = f" and {len(labels) - _MOST_LABELS} more" if len(labels) > _MOST_LABELS else ""
    raise SignalError(
        f"no channel '{label}' to align by. Found: {', '.join(labels[:_MOST_LABELS]) or 'nothing'}{more}.",
        where=file,
    )
