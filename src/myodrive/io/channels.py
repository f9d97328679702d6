"""Which channels of a file are EMG, and how the channels of a file become the signals of a Recording."""

from __future__ import annotations

import dataclasses
import fnmatch
import re
from collections.abc import Mapping, Sequence

import numpy as np
import xarray as xr
from jaxtyping import Float, Shaped

from myodrive.errors import FileError, OptionError, SignalError
from myodrive.io.opening import AS_FOUND, Choice
from myodrive.muscles import name_muscles, recognise
from myodrive.recording import EMG_STAGES, Recording, check_signal, make_signal, sampling_rate

UNKNOWN = ""
"""The kind of a channel of which neither the file nor its reader knows what it is: the label and the unit decide."""

_SIGNAL_OF_KIND = {"force": "forces", "angle": "angles", "moment": "moments", "power": "powers"}
_DIM_OF_SIGNAL = {
    "angles": "joint",
    "moments": "joint",
    "powers": "joint",
    "simulated": "muscle",
    "activation": "muscle",
    "lower": "muscle",
    "upper": "muscle",
}

_UNIT_SPELLINGS = {
    "V": ("v", "volt", "volts"),
    "mV": ("mv", "millivolt", "millivolts"),
    "µV": ("uv", "µv", "μv", "microvolt", "microvolts"),
    "deg": ("deg", "degree", "degrees", "°"),
    "rad": ("rad", "radian", "radians"),
    "1": ("1", "-", "a.u.", "au", "normalized"),
    "%": ("%", "percent", "%mvc", "pct"),
}
_BEYOND_ANY_UNIT = 1e100
MOST_CHANNELS = 20_000
_VOLTS = {"V": 1.0, "mV": 1e-3, "µV": 1e-6}
_SPELLED = {spelling: unit for unit, spellings in _UNIT_SPELLINGS.items() for spelling in spellings}
_MAY_BE_EMG = {"V", "mV", "µV", "1", "%", ""}  # in any other unit (N, g, deg) a channel is no EMG
_NOT_EMG = re.compile(
    r"\b(acc|gyro|mag|trigger|trig|sync|synch|switch|fsr|spare|unused|not used|empty|force|moment|torque|gonio|clock)"
    r"(?![a-z])",
    re.IGNORECASE,
)
_EMG_WORD = re.compile(r"(?<![a-z])emg(?![a-z])", re.IGNORECASE)
_UNUSED_SENSOR = re.compile(
    r"^(trigno\s*)?(im\s*)?sensor[\s_]*\d+\W*(im\s*)?(emg\s*\d*)?(\s*\(im\))?\s*$", re.IGNORECASE
)


@dataclasses.dataclass(frozen=True)
class Channels:
    """Channels on one clock, as a reader found them.

    Parameters
    ----------
    values : array (time, channel)
    time : array (time,)
        In seconds.
    labels, units, kinds : one of each per channel
        `kinds` says what the file itself knows: "emg", "force", "angle", "moment", "power", "other" for what is
        surely no EMG, any other name for a signal of that name, and `UNKNOWN`.
    """

    values: Shaped[np.ndarray, "time channel"]
    time: Float[np.ndarray, " time"]
    labels: Sequence[str]
    units: Sequence[str]
    kinds: Sequence[str]

    def select(self, indices: Sequence[int]) -> Channels:
        """Some of the channels."""

        def pick(items: Sequence[str]) -> list[str]:
            return [items[i] for i in indices]

        return Channels(self.values[:, list(indices)], self.time, pick(self.labels), pick(self.units), pick(self.kinds))


def make_signals(
    groups: Sequence[Channels], choice: Choice, *, where: str, stage: str | None = None
) -> tuple[dict[str, xr.DataArray], list[str]]:
    """The signals of a Recording from all channels of a file, and what the reader must warn of.

    EMG becomes ``emg``; the others go by their kind (``forces``, ``angles``, …) or into ``analog``. A second clock
    among channels of one kind gives ``emg_2``, ``analog_2`` and so on.

    Parameters
    ----------
    groups : sequence of Channels
        One for each clock in the file.
    choice : Choice
        What the caller says.
    where : str
        The file's name, for messages.
    stage : str, optional
        What the file itself says of its EMG; otherwise `find_stage` looks at it.

    Raises
    ------
    SignalError
        If the caller names EMG channels and there are none of that name.
    """
    groups = [g for g in groups if len(g.labels)]
    for group in groups:
        check_number(len(group.labels), where=where)
    chosen = find_emg(groups, choice.emg, where=where)
    signals: dict[str, xr.DataArray] = {}
    warnings: list[str] = []
    # The clock with most EMG channels is the one that is called `emg`.
    order = sorted(range(len(groups)), key=lambda i: -len(chosen[i]))
    for i in order:
        if chosen[i]:
            emg, said = _make_emg(groups[i].select(chosen[i]), choice, stage, where)
            signals[free_name("emg", signals)] = emg
            warnings += said
    if "emg_2" in signals:
        warnings.append("the EMG channels are on several clocks; those on the less common ones are in emg_2, ….")
    for group, emg_channels in zip(groups, chosen):
        rest = [i for i in range(len(group.labels)) if i not in emg_channels]
        kinds = [_SIGNAL_OF_KIND.get(k, "analog" if k in (UNKNOWN, "emg", "other") else k) for k in group.kinds]
        for name in dict.fromkeys(kinds[i] for i in rest):
            part = group.select([i for i in rest if kinds[i] == name])
            signals[free_name(name, signals)] = make_table(part, _DIM_OF_SIGNAL.get(name, "channel"))
    return signals, warnings


def rechoose(recording: Recording, choice: Choice, *, where: str) -> Recording:
    """A Recording that a file of our own gave back, with what the caller says about its EMG applied."""
    if choice == AS_FOUND:
        return recording
    tables = {n: s for n, s in recording.signals.items() if s.ndim == 2}
    if choice.emg is None:
        tables = {n: s for n, s in tables.items() if n == "emg"}
    groups, stage = [], None
    for name, signal in tables.items():
        n_channels, time = signal.shape[1], signal.time.values
        if name == "emg":
            stage = signal.attrs.get("stage")
            time = time if choice.rate_hz is None else time[0] + np.arange(time.size) / choice.rate_hz
        units = (
            signal.coords["unit"].values if "unit" in signal.coords else [signal.attrs.get("units", "")] * n_channels
        )
        labels = [str(v) for v in signal[signal.dims[1]].values]
        groups.append(Channels(signal.values, time, labels, [str(u) for u in units], [name] * n_channels))
    signals, warnings = make_signals(groups, choice, where=where, stage=stage)
    kept = {n: s for n, s in recording.signals.items() if n not in tables}
    source = dataclasses.replace(recording.source, warnings=(*recording.source.warnings, *warnings))
    return recording.replace(signals={**signals, **kept}, source=source)


def find_emg(groups: Sequence[Channels], emg: str | Sequence[str] | None, *, where: str) -> list[list[int]]:
    """For each group the indices of the EMG channels, in the order of the file, or as the caller lists them."""
    if emg is None:
        return [_emg_by_nature(group) for group in groups]
    patterns = [emg] if isinstance(emg, str) else list(emg)
    chosen: list[list[int]] = [[] for _ in groups]
    for pattern in patterns:
        found = [
            (g, i) for g, group in enumerate(groups) for i, label in enumerate(group.labels) if _matches(pattern, label)
        ]
        if not found:
            raise SignalError(_no_match(pattern, groups), where=where, remedy=_name_one(groups, where))
        for g, i in found:
            if i not in chosen[g]:
                chosen[g].append(i)
    return chosen


def find_stage(values: Float[np.ndarray, "time channel"], rate_hz: float) -> tuple[str, str]:
    """How far EMG that shows no negative half has been processed, and the sentence that says so.

    Raw EMG has both signs (or an offset larger than itself). What has none is rectified if much of its variance lies
    above 30 Hz, where no envelope has any, and an envelope otherwise.
    """
    # What is not finite or beyond any unit (a damaged file) is no evidence, and must not overflow in a square.
    finite = np.where(np.abs(values) < _BEYOND_ANY_UNIT, values, np.nan)
    alive = [c for c in range(values.shape[1]) if np.isfinite(finite[:, c]).sum() > 1 and np.nanstd(finite[:, c]) > 0]
    # A zero-phase low-pass leaves an envelope slightly negative in places.
    if not alive or any(np.nanmin(finite[:, c]) < -0.05 * np.nanmax(finite[:, c]) for c in alive):
        return "raw", ""
    fast = float(np.median([_fraction_above(finite[:, c], rate_hz, 30.0) for c in alive]))
    touches_zero = np.median([np.nanmin(finite[:, c]) <= 0.05 * np.nanmedian(finite[:, c]) for c in alive]) > 0
    if fast > 0.15 and not touches_zero:
        return (
            "raw",
            "the EMG shows no negative half, but the channels do not look rectified: taken as raw with an offset.",
        )
    stage = "rectified" if fast > 0.15 else "envelope"
    found = "rectified EMG" if stage == "rectified" else "an envelope"
    return stage, (
        f"the EMG shows no negative half: taken as {found} already, and nothing that assumes raw EMG is applied. "
        "If that is wrong, say already='raw' (--already raw)."
    )


def make_table(channels: Channels, dim: str) -> xr.DataArray:
    """A signal (time, `dim`). Where the channels have several units, the attribute is "mixed" and a coordinate ``unit`` says which."""
    units = [spell_unit(u) for u in channels.units]
    mixed = len(set(units)) > 1
    labels = unique_labels(channels.labels)
    signal = make_signal(
        channels.values, ("time", dim), {dim: labels}, units="mixed" if mixed else units[0], time=channels.time
    )
    return signal.assign_coords(unit=(dim, np.asarray(units, dtype=str))) if mixed else signal


def check_number(n_channels: int, *, where: str) -> None:
    """Refuse more channels than any device has: such a number comes from a damaged header or a table lying on its side."""
    if n_channels > MOST_CHANNELS:
        raise FileError(f"has {n_channels} channels; more than {MOST_CHANNELS} are taken for damage.", where=where)


def spell_unit(unit: str) -> str:
    """One spelling for each common unit ("uV" and "μV" are "µV"); others as they are."""
    unit = unit.strip().strip("[]()").strip()
    return _SPELLED.get(unit.lower(), unit)


def unique_labels(labels: Sequence[str]) -> list[str]:
    """The labels, a repeated one with its number: ``TA``, ``TA (2)``; an empty one by its place."""
    seen: dict[str, int] = {}
    result = []
    for place, label in enumerate(labels):
        label = label.strip() or f"channel {place + 1}"
        seen[label] = seen.get(label, 0) + 1
        result.append(label if seen[label] == 1 else f"{label} ({seen[label]})")
    return result


def _make_emg(channels: Channels, choice: Choice, stage: str | None, where: str) -> tuple[xr.DataArray, list[str]]:
    warnings: list[str] = []
    if choice.units is not None and spell_unit(choice.units) not in _MAY_BE_EMG:
        known = ", ".join(sorted(_MAY_BE_EMG - {""}))
        raise OptionError(f"units= of EMG is one of {known}, not '{choice.units}'.", where=where)
    scale, unit, converted = _one_unit([spell_unit(choice.units or u) for u in channels.units], where)
    warnings += converted
    labels = unique_labels(channels.labels)
    values = np.asarray(channels.values, dtype=np.float64)
    values = values if np.all(scale == 1) else values * scale
    emg = make_signal(values, ("time", "muscle"), {"muscle": labels}, units=unit, time=channels.time)
    if choice.already is not None:
        if choice.already not in EMG_STAGES:
            raise OptionError(f"already= is one of {', '.join(EMG_STAGES)}, not '{choice.already}'.")
        stage = choice.already
    elif stage is None:
        check_signal(emg, where=where)
        stage, said = find_stage(values, sampling_rate(emg))
        warnings += [said] if said else []
    unknown = sorted(set(choice.muscles or {}) - set(labels))
    if unknown:
        raise OptionError(
            f"muscles= names the channels {', '.join(unknown)}, which are not among the EMG: {', '.join(labels)}.",
            where=where,
        )
    named = name_muscles(labels, choice.muscles)
    emg = emg.assign_coords(
        name=("muscle", np.asarray([n for n, _ in named], dtype=str)),
        side=("muscle", np.asarray([s for _, s in named], dtype=str)),
    )
    emg.attrs["stage"] = stage
    return emg, warnings


def _one_unit(units: Sequence[str], where: str) -> tuple[Float[np.ndarray, " channel"], str, list[str]]:
    """The factor of each channel to the one unit of all, that unit, and what was changed."""
    found = list(dict.fromkeys(u for u in units if u)) or [""]
    if len(set(units)) == 1:
        return np.ones(len(units)), units[0], []
    if not all(u in _VOLTS or u == "" for u in units):
        raise SignalError(
            f"the EMG channels are in different units ({', '.join(u or 'none' for u in dict.fromkeys(units))}).",
            where=where,
            remedy="Name channels of one unit (--emg), or state the unit (units=).",
        )
    scale = np.array([_VOLTS[u] / _VOLTS[found[0]] if u else 1.0 for u in units])
    return (
        scale,
        found[0],
        [f"the EMG channels are in {', '.join(u or 'no unit' for u in units)}: all given in {found[0]}."],
    )


def _emg_by_nature(group: Channels) -> list[int]:
    """EMG by what the file says, or else by unit and label. Unused sensors and spare inputs are none."""

    def possible(i: int) -> bool:
        label, unit, kind = group.labels[i], spell_unit(group.units[i]), group.kinds[i]
        return kind in (UNKNOWN, "emg") and unit in _MAY_BE_EMG and not _NOT_EMG.search(label.replace("_", " "))

    candidates = [i for i in range(len(group.labels)) if possible(i)]
    by_file = [i for i in candidates if group.kinds[i] == "emg"]
    if by_file:
        return by_file
    named = [i for i in candidates if recognise(group.labels[i], group.labels)[0]]
    said = [i for i in candidates if _EMG_WORD.search(group.labels[i].replace("_", " "))]
    # "Sensor 14.IM EMG14" beside "Pec.IM EMG12" was left in its box; where no channel has a muscle's name, all count.
    used = [i for i in said if not _UNUSED_SENSOR.match(group.labels[i])] if named else said
    return sorted({*named, *used})


def _matches(pattern: str, label: str) -> bool:
    """By the label, or by what follows the device's name in it: "L Rect" names "Voltage.L Rect"."""
    for text in {label, label.split(".", 1)[-1]}:
        if text == pattern or fnmatch.fnmatchcase(text, pattern):
            return True
        try:
            if re.fullmatch(pattern, text, re.IGNORECASE):
                return True
        except re.error:
            pass  # a shell pattern that is no regular expression: "*EMG"
    return False


def _no_match(pattern: str, groups: Sequence[Channels]) -> str:
    labels = [label for group in groups for label in group.labels]
    shown = labels if len(labels) <= 30 else [*labels[:28], "…", labels[-1]]
    return f"no channel matches '{pattern}'. Found: {', '.join(shown) or 'no channel at all'}."


def _name_one(groups: Sequence[Channels], where: str) -> str:
    likely = [group.labels[i] for group in groups for i in _emg_by_nature(group)]
    labels = likely or [label for group in groups for label in group.labels]
    return f"Pass emg=['{labels[0]}'] or see `myodrive info {where}`." if labels else ""


def _fraction_above(values: Float[np.ndarray, " time"], rate_hz: float, cutoff_hz: float) -> float:
    """How much of a signal's variance lies above a frequency; 0 for a rate that cannot show it."""
    edges = np.flatnonzero(np.diff(np.r_[False, np.isfinite(values), False].astype(np.int8)))
    start, stop = max(zip(edges[::2], edges[1::2]), key=lambda run: run[1] - run[0])
    values = values[start:stop]  # the longest stretch without a gap
    if values.size < 8 or not rate_hz > 4 * cutoff_hz:
        return 0.0
    power = np.abs(np.fft.rfft((values - values.mean())[: 2**17])) ** 2
    frequency = np.fft.rfftfreq(min(values.size, 2**17), 1 / rate_hz)
    return float(power[frequency > cutoff_hz].sum() / max(power.sum(), np.finfo(float).tiny))


def free_name(name: str, taken: Mapping[str, xr.DataArray]) -> str:
    """The name, or with the lowest number from 2 on that makes it new: ``analog_2``."""
    if name not in taken:
        return name
    number = 2
    while f"{name}_{number}" in taken:
        number += 1
    return f"{name}_{number}"
