"""Quality by noise: is there a muscle on this channel at all, and if not, is the electrode off or the muscle silent?

Two facts separate the three. Tissue is a low-pass: EMG is far less dense at 300 to 400 Hz than at 60 to 150 Hz, and it
comes in bursts. And an electrode on skin adds noise of its own, 1 to 20 µV RMS (Huigen et al. 2002, 10.1007/BF02344216)
that fall with frequency (Gondran et al. 1996, 10.1007/BF02523851), while an input without electrodes has only the
amplifier's noise, which is white.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float
from scipy import signal as sps

from myodrive.conditioning.quality.types import Channel, Finding, in_volts, readable

LOWEST_RATE_HZ = 820.0  # below it the upper band is not there
EMG_TILT = 0.25  # density at 300–400 Hz to density at 60–150 Hz; surface EMG .001 to .15, fine wires up to .3
WHITE_TILT = 0.65  # white noise has 1, electrodes on skin .3 to .6
STEADY = 2.0  # loud to quiet stretches; noise alone has 1.1 to 1.5
ORDINARY_NOISE_V = (0.7e-6, 25e-6)  # RMS of an electrode on skin, with some room; an amplifier alone has less
LOUD = 2.0  # steady noise to the EMG of the other channels
FLOOR = 0.25  # noise between the bursts to that of the other channels


def judge_noise(channels: list[Channel], findings: list[Finding]) -> list[Finding]:
    """Channels of noise: "unplugged" is masked; "silent", noise as an electrode on a resting muscle has, is not."""
    clipped = {f.muscle for f in findings if f.kind == "stage" or (f.kind == "saturated" and f.masked)}
    judged = [c for c in channels if c.rate_hz >= LOWEST_RATE_HZ and c.muscle not in clipped]
    noisy = [c for c in judged if _is_noise(c)]
    active = [c for c in judged if c not in noisy]
    level = float(np.median([_rms(c) for c in active])) if active else np.inf
    return [_verdict(c, level) for c in noisy] + _lost_contact(active)


def _verdict(channel: Channel, level_of_emg: float) -> Finding:
    tilt, rms = _tilt(channel), _rms(channel)
    level = f"{readable(rms, channel.units)} RMS"
    if tilt >= WHITE_TILT and not _ordinary(channel, rms):
        text = f"white noise ({level}), no EMG: as dense at 300 to 400 Hz as at 60 to 150 Hz (ratio {tilt:.2f})"
        return channel.finding("unplugged", text, masked=True)
    if rms > LOUD * level_of_emg and not _ordinary(channel, rms):
        text = f"steady noise ({level}), no EMG: {rms / level_of_emg:.1f} times the EMG of the other channels"
        return channel.finding("unplugged", text, masked=True)
    text = f"no activity seen: steady noise ({level}) such as an electrode on a resting muscle has"
    return channel.finding("silent", text, masked=False)


def _ordinary(channel: Channel, rms: float) -> bool:
    factor = in_volts(channel.units)
    return factor is not None and ORDINARY_NOISE_V[0] <= rms * factor <= ORDINARY_NOISE_V[1]


def _lost_contact(active: list[Channel]) -> list[Finding]:
    """Channels that between their bursts have the white noise of an open input, far below the other electrodes."""
    floors = [_floor(c) for c in active]
    usual = float(np.median([rms for _, rms in floors])) if len(active) >= 3 else 0.0
    findings = []
    for channel, (tilt, rms) in zip(active, floors):
        if tilt >= WHITE_TILT and rms < FLOOR * usual and not _ordinary(channel, rms):
            text = (
                f"contact comes and goes: between bursts it has {rms / usual:.2f} of the noise of the other electrodes"
            )
            findings.append(channel.finding("unplugged", text, masked=True))
    return findings


def _floor(channel: Channel) -> tuple[float, float]:
    """Tilt of the spectrum and RMS in the quietest fifth of the stretches of 0.1 s."""
    stretches = _stretches(channel)
    quiet = stretches[np.argsort(np.mean(stretches**2, axis=1))[: max(1, len(stretches) // 5)]]
    frequency, each = sps.periodogram(quiet, channel.rate_hz, "hann", detrend="linear")
    density = each.mean(axis=0)
    emg = np.median(density[(frequency >= 60) & (frequency < 150)])
    high = np.median(density[(frequency >= 300) & (frequency < 400)])
    return float(high / emg) if emg > 0 else 0.0, float(np.sqrt(np.mean(quiet**2)))


def _is_noise(channel: Channel) -> bool:
    tilt = _tilt(channel)
    return tilt >= WHITE_TILT or (tilt >= EMG_TILT and burstiness(channel) < STEADY)


def _tilt(channel: Channel) -> float:
    emg = channel.density(60.0, 150.0)
    return channel.density(300.0, 400.0) / emg if emg > 0 else 0.0


def _stretches(channel: Channel) -> Float[np.ndarray, "stretch sample"]:
    n = round(0.1 * channel.rate_hz)
    return channel.above_20_hz[: channel.above_20_hz.size // n * n].reshape(-1, n)


def burstiness(channel: Channel) -> float:
    """Loud to quiet: the 95th to the 10th percentile of the mean rectified EMG in stretches of 0.1 s."""
    quiet, loud = np.quantile(np.abs(_stretches(channel)).mean(axis=1), [0.1, 0.95])
    return float(loud / quiet) if quiet > 0 else np.inf


def _rms(channel: Channel) -> float:
    return float(np.sqrt(np.mean(channel.above_20_hz**2)))
