"""Quality by spectrum: mains, drift, content that no filter took away, a rate that cannot be."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from myodrive.conditioning.quality.types import Channel, Finding, two_digits

MAINS_HZ = (50.0, 60.0)
MAINS_SHARE = 0.1  # of the power between 20 and 450 Hz: below it the estimate of the line itself is as uncertain
MAINS_ALL = 0.8  # above it little else is left, and a notch would leave noise
DRIFT_SHARE = 0.25  # power below 5 Hz to power of the EMG: a baseline that swings half as far as the EMG
SLOW_TO_EMG = 3.0  # density at 5–18 Hz to density at 60–120 Hz; EMG has less at the former (De Luca 2010)
MEDIAN_FREQUENCY_HZ = (
    45.0,
    150.0,
)  # of EMG in the median of the channels: 50 to 130 Hz in the recordings of docs/quality.md

LOWEST_RATE_HZ = 400.0  # below it the EMG itself is cut


def find_mains(channel: Channel) -> Iterator[Finding]:
    """Narrow lines at 50 or 60 Hz and their harmonics, against their neighbours."""
    shares = {mains: _line_share(channel, mains) for mains in MAINS_HZ}
    mains = max(shares, key=lambda m: shares[m])
    share = shares[mains]
    if share >= MAINS_SHARE:
        masked = share >= MAINS_ALL
        remedy = "; little else is left" if masked else " (a notch removes them: notch_hz)"
        text = f"{share:.0%} of its power are lines at {mains:g} Hz and harmonics{remedy}"
        yield channel.finding("mains", text, masked=masked)


def _line_share(channel: Channel, mains_hz: float) -> float:
    """Power of the lines above what their neighbours (4 to 15 Hz away) have, as a share of 20 to 450 Hz."""
    frequency, density = channel.spectrum
    whole = channel.power(20.0, 450.0)
    lines = 0.0
    for harmonic in np.arange(mains_hz, min(450.0, channel.rate_hz / 2 - 5), mains_hz):
        distance = np.abs(frequency - harmonic)
        line = distance <= 2.5
        neighbours = (distance > 4) & (distance <= 15)
        if not line.any() or not neighbours.any():
            continue
        beside = np.median(density[neighbours])
        if density[line].max() > 4 * beside:  # a line stands out; the bumps of an EMG spectrum are wide
            lines += (density[line].sum() - beside * line.sum()) * frequency[1]
    return float(lines / whole) if whole > 0 else 0.0


def find_drift(channel: Channel) -> Iterator[Finding]:
    """A baseline that wanders below 5 Hz."""
    emg = float(np.var(channel.above_20_hz))
    low = channel.below_20_hz[np.isfinite(channel.below_20_hz)]
    n = max(1, round(0.1 * channel.rate_hz))
    baseline = np.convolve(low, np.full(n, 1 / n), mode="valid")  # keeps what is below about 5 Hz
    share = float(np.var(baseline)) / emg if emg > 0 else 0.0
    if share >= DRIFT_SHARE:
        text = f"its baseline drifts: power below 5 Hz is {two_digits(share)} times that of the EMG (a high-pass removes it)"
        yield channel.finding("drift", text, masked=False)


def find_unfiltered(channel: Channel) -> Iterator[Finding]:
    """Content below 18 Hz beyond what a muscle makes: no high-pass was applied, and electrodes or cables moved."""
    emg = channel.density(60.0, 120.0)
    ratio = channel.density(5.0, 18.0) / emg if emg > 0 else 0.0
    if ratio >= SLOW_TO_EMG:
        text = (
            f"5 to 18 Hz is {two_digits(ratio)} times as dense as 60 to 120 Hz (a high-pass of 20 Hz or more is needed)"
        )
        yield channel.finding("unfiltered", text, masked=False)


def find_rate(channels: list[Channel]) -> Iterator[Finding]:
    """A declared rate that the spectra contradict; one finding for the recording."""
    if not channels:
        return
    middle = float(np.median([_median_frequency(c) for c in channels]))
    low, high = MEDIAN_FREQUENCY_HZ
    rate = channels[0].rate_hz
    if not low <= middle <= high and rate >= LOWEST_RATE_HZ:
        text = f"the median frequency is {middle:.0f} Hz if the rate of {rate:g} Hz is right, and EMG has 50 to 130 Hz"
        yield Finding("", "rate", False, text)
    edge = float(np.median([_edge(c) for c in channels]))
    if edge < min(300.0, 0.5 * rate / 2):
        text = f"there is nothing above {edge:.0f} Hz, though the rate of {rate:g} Hz could hold it: interpolated, or low-passed"
        yield Finding("", "rate", False, text)


def _median_frequency(channel: Channel) -> float:
    frequency, density = channel.spectrum
    total = np.cumsum(np.where(frequency >= 20, density, 0.0))
    return float(frequency[np.searchsorted(total, 0.5 * total[-1])])


def _edge(channel: Channel) -> float:
    """The highest frequency with a millionth of the largest density: filters fall off, interpolation cuts."""
    frequency, density = channel.spectrum
    return float(frequency[np.flatnonzero(density > 1e-6 * density.max())[-1]])
