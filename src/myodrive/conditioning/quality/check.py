"""The quality check of each EMG channel, before anything else: it reports and masks; it never silently repairs.

What each kind of finding means, its threshold with the reason, and how often it is right on real recordings: docs/quality.md.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import xarray as xr

from myodrive.conditioning.quality.noise import burstiness, judge_noise
from myodrive.conditioning.quality.spectrum import find_drift, find_mains, find_rate, find_unfiltered
from myodrive.conditioning.quality.types import Channel, Finding, in_volts
from myodrive.conditioning.quality.waveform import find_artefacts, find_envelope_artefacts, find_saturated
from myodrive.recording import gap_free_runs, sampling_rate

SLOWEST_HZ = 20.0  # slower than any envelope is kept; the clock is wrong, mostly milliseconds taken for seconds
SHORTEST_S = 0.25  # below this a spectrum has no line at 50 Hz to tell from its neighbours
IDENTICAL = 0.999  # |correlation|; a copy with another gain and rounding has more, neighbouring electrodes have less
PARTS = 8  # of the recording, each of which a copy has to match
UNSAID = 0.01  # missing at the ends; a few rows there are how files end
NOT_EMG = {"unplugged", "silent", "saturated", "stage"}  # findings after which amplitude and rate mean nothing
BURSTING = 4.0  # loud to quiet stretches; noise alone has up to 2.8, walking 4 to 100
# Peaks of surface EMG are between some 10 µV and 5 mV, of fine wires up to 10 mV (Merletti & Farina 2016,
# 10.1002/9781119082934); what lies outside has another unit, or the amplifier's gain in it.
LARGEST_PEAK_V, SMALLEST_PEAK_V = 20e-3, 2e-6
SILENT_ENVELOPE = 0.05  # peak to the median peak of the channels; noise has 1 to 5 % of a strong contraction


def check_emg(emg: xr.DataArray) -> tuple[Finding, ...]:
    """Everything doubtful about the channels of one recording.

    Raw and filtered EMG is judged by amplitude, waveform and spectrum; what is rectified or an envelope already only by
    what still makes sense there: missing samples, constant channels, copies, rails, isolated artefacts and sign.

    Parameters
    ----------
    emg : DataArray (time, muscle)
        Any unit; missing samples are NaN. The attribute ``stage`` says what it is; "raw" without one.

    Returns
    -------
    tuple of Finding
        In the order of the channels; what concerns the whole recording comes last, with `muscle` "".
    """
    findings: list[Finding] = []
    judged: list[Channel] = []
    for i in range(emg.sizes["muscle"]):
        channel = _channel(emg, i)
        unusable = list(_missing_or_constant(channel))
        findings += unusable
        if not any(f.kind in ("empty", "constant", "short", "rate") for f in unusable):
            judged.append(channel)
    checks = _check_raw if emg.attrs.get("stage", "raw") in ("raw", "filtered") else _check_envelope
    found = checks(judged)
    muscles = [str(m) for m in emg.muscle.values]
    every = [*_gaps_said_once(findings, emg), *found, *_duplicates(judged, found)]
    return tuple(sorted(every, key=lambda f: muscles.index(f.muscle) if f.muscle else len(muscles)))


def mask_emg(emg: xr.DataArray, findings: tuple[Finding, ...]) -> xr.DataArray:
    """The EMG with NaN wherever a finding is `masked`: the whole channel, or its stretch from `start_s` to `stop_s`."""
    masked = [f for f in findings if f.masked]
    if not masked:
        return emg
    values = np.array(emg.values, dtype=np.result_type(emg.dtype, np.float32))
    time = emg.time.values
    for finding in masked:
        column = [str(m) for m in emg.muscle.values].index(finding.muscle)
        whole = np.isnan(finding.start_s)
        rows = slice(None) if whole else (time >= finding.start_s) & (time <= finding.stop_s)
        values[rows, column] = np.nan
    return emg.copy(data=values)


def _channel(emg: xr.DataArray, i: int) -> Channel:
    values = np.asarray(emg.values[:, i], dtype=np.float64)
    values = np.where(np.isfinite(values), values, np.nan)
    time = emg.time.values
    runs = gap_free_runs(time, np.isfinite(values))
    return Channel(str(emg.muscle.values[i]), values, time, runs, sampling_rate(emg), str(emg.attrs.get("units", "")))


def _missing_or_constant(channel: Channel) -> Iterator[Finding]:
    finite = channel.values[np.isfinite(channel.values)]
    if finite.size == 0:
        yield channel.finding("empty", "no sample of it is a number", masked=True)
        return
    gaps = len(channel.runs) - 1
    spanned = (channel.time[-1] - channel.time[0]) * channel.rate_hz + 1  # also what a jump of the clock leaves out
    lost_s = max(0.0, spanned - finite.size) / channel.rate_hz
    inside = f"{gaps} gap{'s' if gaps != 1 else ''} inside"
    if gaps or finite.size < (1 - UNSAID) * channel.values.size:
        yield channel.finding("missing", f"{lost_s:.3g} s of it are missing, with {inside}", masked=False)
    if np.ptp(finite) == 0:
        yield channel.finding("constant", f"every sample is {finite[0]:g}", masked=True)
    elif channel.rate_hz < SLOWEST_HZ:
        text = f"its clock says {channel.rate_hz:g} Hz, at which no EMG can be judged; are its times milliseconds?"
        yield channel.finding("rate", text, masked=False)
    elif not max(r.stop - r.start for r in channel.runs) >= SHORTEST_S * channel.rate_hz:  # or one sample: no rate
        text = f"no stretch without a gap is as long as {SHORTEST_S:g} s: too short to be judged"
        yield channel.finding("short", text, masked=False)


def _gaps_said_once(findings: list[Finding], emg: xr.DataArray) -> list[Finding]:
    """Gaps that all channels share, as between trials, are the recording's: one finding in place of one for each."""
    missing = [f for f in findings if f.kind == "missing"]
    lost = ~np.isfinite(emg.values)
    if not missing or emg.sizes["muscle"] < 2 or not (lost == lost[:, :1]).all():
        return findings
    shared = Finding("", "missing", False, missing[0].text.replace(" of it are", " of every channel are"))
    return [f for f in findings if f.kind != "missing"] + [shared]


def _check_raw(channels: list[Channel]) -> list[Finding]:
    findings: list[Finding] = []
    for channel in channels:
        findings += find_saturated(channel)
        if np.nanmin(channel.values) >= 0:
            text = (
                "it is never negative, so it looks rectified already: if it is, say --already rectified (or envelope)"
            )
            findings.append(channel.finding("stage", text, masked=False))
            continue
        findings += [*find_mains(channel), *find_drift(channel), *find_unfiltered(channel), *find_artefacts(channel)]
    findings += judge_noise(channels, findings)
    kinds = {c.muscle: {f.kind for f in findings if f.muscle == c.muscle} for c in channels}
    sound = [c for c in channels if not kinds[c.muscle] & NOT_EMG]
    # Declared at four times its rate EMG looks white; its bursts still tell it from an open input.
    bursting = [c for c in channels if "unplugged" in kinds[c.muscle] and burstiness(c) > BURSTING]
    judged = [c for c in [*sound, *bursting] if not kinds[c.muscle] & {"unfiltered", "mains"}]
    return [*findings, *_unit(sound), *find_rate(judged)]


def _check_envelope(channels: list[Channel]) -> list[Finding]:
    findings = [f for c in channels for f in find_saturated(c, both_rails=False)] + find_envelope_artefacts(channels)
    peaks = {c.muscle: float(np.nanquantile(c.values, 0.999)) for c in channels}
    usual = float(np.median(list(peaks.values()))) if len(peaks) >= 3 else 0.0
    for channel in channels:
        if np.nanmin(channel.values) < -1e-3 * np.nanmax(np.abs(channel.values)):
            text = "it has negative samples: it is declared rectified or an envelope, but looks raw"
            findings.append(channel.finding("stage", text, masked=False))
        elif peaks[channel.muscle] < SILENT_ENVELOPE * usual:
            text = f"no activity seen: it peaks at {peaks[channel.muscle] / usual:.1%} of what other channels reach"
            findings.append(channel.finding("silent", text, masked=False))
    return findings


def _unit(channels: list[Channel]) -> Iterator[Finding]:
    """One finding for the recording: amplitudes that no muscle gives in the declared unit."""
    factor = in_volts(channels[0].units) if channels else None
    if factor is None:
        return
    peak = factor * float(np.median([np.quantile(np.abs(c.above_20_hz), 0.999) for c in channels]))
    if not SMALLEST_PEAK_V <= peak <= LARGEST_PEAK_V:
        text = (
            f"the EMG peaks at {peak:.2g} V if the unit '{channels[0].units}' is right, and muscles give 10 µV to 5 mV: "
            "another unit, or the amplifier's gain is still in it"
        )
        yield Finding("", "unit", False, text)


def _duplicates(channels: list[Channel], found: list[Finding]) -> Iterator[Finding]:
    """Copies of an earlier channel, up to gain and sign. Both stay: the copy is honest data, but no second witness."""
    noise = {f.muscle for f in found if f.kind in ("unplugged", "saturated")}
    kept = [c for c in channels if c.muscle not in noise]
    for j, later in enumerate(kept):
        for earlier in kept[:j]:
            both = np.isfinite(earlier.values) & np.isfinite(later.values)
            if both.sum() < 10 * PARTS or not _alike(earlier.values[both], later.values[both]):
                continue
            text = f"it is a copy of {earlier.muscle} (up to gain): no independent muscle"
            yield later.finding("duplicate", text, masked=False)
            break


def _alike(a: np.ndarray, b: np.ndarray) -> bool:
    """In every eighth of the recording, because one jolt that both share would make any two channels alike."""
    parts = zip(np.array_split(a, PARTS), np.array_split(b, PARTS))
    return all(_correlation(x - x.mean(), y - y.mean()) > IDENTICAL for x, y in parts)


def _correlation(a: np.ndarray, b: np.ndarray) -> float:
    # Sums of products rather than a dot product: on a busy machine the threads of the latter cost a hundred times more.
    norm = float(np.sqrt(np.sum(a * a) * np.sum(b * b)))
    if norm == 0.0:  # both stand still in this part, or only one does
        return float(not a.any() and not b.any())
    return abs(float(np.sum(a * b))) / norm
