"""Quality by waveform: samples at a rail, and events that no muscle makes."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from jaxtyping import Bool, Float
from scipy.ndimage import binary_dilation, binary_propagation

from myodrive.conditioning.quality.types import Channel, Finding, moving_mean

CLIPPED = 1e-3  # share of samples at the rails that is reported
CLIPPED_ALL = 0.05  # share that is masked: the 95th percentile, by which amplitude is scaled, is then the rail itself
SLOW_EVENT = 1.5  # content below 20 Hz to the EMG's own level in bursts
POPPING = 5.0  # slow content that no high-pass takes away: steps ring
TRACE = 1.5  # what is left of an event above 20 Hz, to the largest value elsewhere
SPIKE = 4.0  # a spike to the largest value anywhere else
SPIKE_S = 0.05  # shorter than any burst of a muscle
ENVELOPE_EVENT = 12.0  # to the 80th percentile of the channel
ABOVE_OTHERS = 3.0  # peak of an envelope with artefacts to the largest peak of any other muscle
ISOLATED_SHARE = 0.2  # events that take more of the time are how this channel is, not events
FEW = 3  # likewise what comes back more often
PAD_S = 0.05  # filters spread an event


def find_saturated(channel: Channel, *, both_rails: bool = True) -> Iterator[Finding]:
    """Samples that pile up at the largest or smallest value: more there than in the 5 % of the range just inside.

    An envelope rests at its smallest value, so there only the upper rail counts (`both_rails` False).
    """
    finite = channel.values[np.isfinite(channel.values)]
    half = np.ptp(finite) / 2
    height = (finite - finite.min()) / half - 1  # -1 to 1
    share = _at_rail(height) + (_at_rail(-height) if both_rails else 0.0)
    if share >= CLIPPED:
        rail = f"{float(np.max(np.abs(finite))):g} {channel.units}".strip()
        consequence = "" if share >= CLIPPED_ALL else "; its peaks are too low"
        text = f"{share:.1%} of the samples are at the rail ({rail}){consequence}"
        yield channel.finding("saturated", text, masked=share >= CLIPPED_ALL)


def _at_rail(height: Float[np.ndarray, " sample"]) -> float:
    """Share of the samples at height 1, if more are there than just below."""
    at = int(np.sum(height > 1 - 1e-4))
    below = int(np.sum(height > 0.95)) - at
    return at / height.size if at >= 5 and at > below else 0.0


def find_artefacts(channel: Channel) -> Iterator[Finding]:
    """Steps, pops and jolts (slow and larger than the EMG), and single spikes far above everything else.

    What comes back more than `FEW` times belongs to how the channel was recorded, as the jolt of every heel strike in
    unfiltered EMG does; it is then no event to cut out, and "unfiltered" tells of it.
    """
    slow = moving_mean(np.abs(channel.below_20_hz), round(0.1 * channel.rate_hz))
    emg = float(np.quantile(_fast(channel, 0.1)[np.isfinite(channel.values)], 0.95))
    if emg <= 0:
        return
    limit = max(SLOW_EVENT * emg, 4 * float(np.median(slow)))
    events = binary_propagation(slow > limit, mask=slow > 0.5 * limit)
    if events.mean() <= ISOLATED_SHARE:
        yield from _jolts(channel, events, slow / emg)
        yield from _spike(channel, events)


def _jolts(channel: Channel, events: Bool[np.ndarray, " time"], size: np.ndarray) -> Iterator[Finding]:
    """Masked where a high-pass does not help: where the fast part is larger than anywhere else, or the step is huge."""
    fast = _fast(channel, 0.02)
    elsewhere = float(np.max(fast[~events]))
    for start, stop in _stretches(channel, events):
        jolt, trace = float(size[start:stop].max()), float(fast[start:stop].max()) / elsewhere
        masked = jolt >= POPPING or trace >= TRACE
        text = f"a step or jolt {jolt:.1f} times the EMG's own level" + ("" if masked else " (a high-pass removes it)")
        yield _in_stretch(channel, start, stop, text, masked)


def _fast(channel: Channel, window_s: float) -> np.ndarray:
    rest = channel.values - np.nanmedian(channel.values) - channel.below_20_hz
    return moving_mean(np.abs(rest), max(1, round(window_s * channel.rate_hz)))


def _spike(channel: Channel, known: Bool[np.ndarray, " time"]) -> Iterator[Finding]:
    """One event shorter than any burst and far above all others."""
    level = np.where(known, 0.0, _fast(channel, 0.02))
    i = int(np.argmax(level))
    reach = round(0.25 * channel.rate_hz)
    around = slice(max(0, i - reach), i + reach)
    elsewhere = float(np.max(np.delete(level, around), initial=0.0))
    if elsewhere == 0.0 or level[i] < SPIKE * elsewhere:
        return
    event = np.zeros(level.size, dtype=bool)
    event[around] = level[around] > 0.25 * level[i]
    if event.sum() <= (SPIKE_S + 0.02) * channel.rate_hz:
        for start, stop in _stretches(channel, event):
            text = f"a spike {level[i] / elsewhere:.1f} times anything else"
            yield _in_stretch(channel, start, stop, text, True)


def find_envelope_artefacts(channels: list[Channel]) -> list[Finding]:
    """Brief events far above the rest of their channel and far above every other muscle.

    An envelope does not tell a jolt from a single strong burst, so the second witness is needed before data are lost.
    """
    findings: list[Finding] = []
    peaks = {c.muscle: float(np.nanmax(c.values)) for c in channels}
    for channel in channels:
        usual = float(np.nanquantile(channel.values, 0.8))
        events = np.nan_to_num(channel.values) > ENVELOPE_EVENT * usual
        others = max([p for m, p in peaks.items() if m != channel.muscle], default=np.inf)
        if not (usual > 0 and 0 < events.mean() <= ISOLATED_SHARE and peaks[channel.muscle] > ABOVE_OTHERS * others):
            continue
        wide = binary_propagation(events, mask=np.nan_to_num(channel.values) > ENVELOPE_EVENT / 4 * usual)
        for start, stop in _stretches(channel, wide, at_most=3 * FEW):
            times = np.nanmax(channel.values[start:stop]) / usual
            text = f"an event {times:.0f} times its usual level, in a channel far above every other muscle"
            findings.append(_in_stretch(channel, start, stop, text, True))
    return findings


def _stretches(channel: Channel, events: Bool[np.ndarray, " time"], at_most: int = FEW) -> list[tuple[int, int]]:
    """First and last-plus-one sample of each event, with a little before and after; none if there are too many."""
    pad = round(PAD_S * channel.rate_hz)
    wide = binary_dilation(events, iterations=pad) if pad else events
    edges = np.flatnonzero(np.diff(np.r_[False, wide, False].astype(np.int8)))
    return [(int(a), int(b)) for a, b in zip(edges[::2], edges[1::2])] if edges.size <= 2 * at_most else []


def _in_stretch(channel: Channel, start: int, stop: int, text: str, masked: bool) -> Finding:
    first, last = float(channel.time[start]), float(channel.time[stop - 1])
    place = f"{text}, from {first:.2f} to {last:.2f} s"
    return channel.finding("artefact", place, masked=masked, start_s=first, stop_s=last)
