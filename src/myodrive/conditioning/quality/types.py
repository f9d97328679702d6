"""What the quality check hands around: a finding, and one channel with its spectrum computed once."""

from __future__ import annotations

import dataclasses
from functools import cached_property

import numpy as np
from jaxtyping import Float
from scipy import signal as sps
from scipy.ndimage import uniform_filter1d

SEGMENT_S = 0.5  # of the spectrum: 2 Hz between lines, and enough segments to average in a trial of two seconds


@dataclasses.dataclass(frozen=True)
class Finding:
    """One thing that the quality check found in one channel."""

    muscle: str  # the channel's label; "" for the whole recording
    kind: str  # "unplugged", "saturated", "artefact", "mains", "drift", "duplicate", "rate", "unit", …
    masked: bool  # whether the channel, or the stretch, is kept out of every estimate
    text: str  # one plain sentence with the number that decided
    start_s: float = float("nan")  # of a stretch; NaN for the whole channel
    stop_s: float = float("nan")


@dataclasses.dataclass(frozen=True)
class Channel:
    """One channel of a recording: its samples, NaN where missing, and the stretches without a gap."""

    muscle: str
    values: Float[np.ndarray, " time"]
    time: Float[np.ndarray, " time"]
    runs: list[slice]
    rate_hz: float
    units: str

    def finding(
        self, kind: str, text: str, *, masked: bool, start_s: float = float("nan"), stop_s: float = float("nan")
    ) -> Finding:
        return Finding(self.muscle, kind, masked, text, start_s, stop_s)

    @cached_property
    def spectrum(self) -> tuple[Float[np.ndarray, " frequency"], Float[np.ndarray, " frequency"]]:
        """Frequencies in Hz and power density in unit²/Hz: Welch's over every gap-free stretch, weighted by length."""
        n = min(round(SEGMENT_S * self.rate_hz), max(r.stop - r.start for r in self.runs))
        long_enough = [r for r in self.runs if r.stop - r.start >= n]
        weights = np.array([r.stop - r.start for r in long_enough], dtype=np.float64)
        pieces = [sps.welch(self.values[r], self.rate_hz, nperseg=n, detrend="linear") for r in long_enough]
        return pieces[0][0], np.average([density for _, density in pieces], axis=0, weights=weights)

    def power(self, low_hz: float, high_hz: float) -> float:
        """Power between two frequencies, in unit²."""
        frequency, density = self.spectrum
        return float(density[(frequency >= low_hz) & (frequency < high_hz)].sum() * frequency[1])

    def density(self, low_hz: float, high_hz: float) -> float:
        """Typical power density between two frequencies: the median, which narrow lines of the mains do not move."""
        frequency, density = self.spectrum
        inside = (frequency >= low_hz) & (frequency < high_hz)
        return float(np.median(density[inside])) if inside.any() else float("nan")

    @cached_property
    def below_20_hz(self) -> Float[np.ndarray, " time"]:
        """What no muscle makes: baseline, movement of electrodes and cables. NaN where missing."""
        slow = np.full(self.values.shape, np.nan)
        sections = sps.butter(2, min(20.0, 0.4 * self.rate_hz), fs=self.rate_hz, output="sos")
        centre = np.nanmedian(self.values)
        for run in self.runs:
            pad = min(round(0.1 * self.rate_hz), run.stop - run.start - 1)
            slow[run] = sps.sosfiltfilt(sections, self.values[run] - centre, padtype="even", padlen=pad)
        return slow

    @cached_property
    def above_20_hz(self) -> Float[np.ndarray, " sample"]:
        """The rest, without the missing samples."""
        rest = self.values - np.nanmedian(self.values) - self.below_20_hz
        return rest[np.isfinite(rest)]


def in_volts(units: str) -> float | None:
    """What one of a unit is in volts; None where the unit says nothing about the electrode (counts, %, 1)."""
    known = {"V": 1.0, "mV": 1e-3, "uV": 1e-6, "µV": 1e-6, "μV": 1e-6, "nV": 1e-9}
    names = {"volt": 1.0, "volts": 1.0, "millivolt": 1e-3, "millivolts": 1e-3, "microvolt": 1e-6, "microvolts": 1e-6}
    return known.get(units.strip(), names.get(units.strip().lower()))


def two_digits(value: float) -> str:
    """Two significant digits without an exponent: "0.00043", "760"."""
    return np.format_float_positional(float(f"{value:.2g}"), trim="-")


def readable(value: float, units: str) -> str:
    """A value with its unit, volts as µV or mV where that reads better.

    Examples
    --------
    >>> readable(0.00043, "V"), readable(12.0, "counts")
    ('430 µV', '12 counts')
    """
    factor = in_volts(units)
    if factor is None:
        return f"{two_digits(value)} {units}".strip()
    volts = factor * value
    name, size = next(((n, s) for n, s in (("V", 1.0), ("mV", 1e-3)) if volts >= s), ("µV", 1e-6))
    return f"{two_digits(volts / size)} {name}"


def moving_mean(values: Float[np.ndarray, " time"], n: int) -> Float[np.ndarray, " time"]:
    """Mean over n samples around each; NaN counts as 0, so that a gap never looks like an event."""
    return uniform_filter1d(np.nan_to_num(values), max(n, 1), mode="nearest")
