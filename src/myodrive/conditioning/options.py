"""The options of the conditioning of EMG."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

Positive = Annotated[float, Field(gt=0)]
Fractional = Annotated[float, Field(gt=0, le=1)]


class EmgConditioning(BaseModel):
    """Options of the conditioning; the defaults are those of the published chain.

    ``ecg="template"`` subtracts the median heartbeat (file `ecg`). ``ecg="high-pass"`` raises the high-pass to at least
    `ecg_highpass_hz`, which removes most of the heart and keeps the EMG's shape (Drake & Callaghan 2006,
    10.1016/j.jelekin.2005.07.003); the published high-pass of 65 Hz is above that already, so it matters to those who
    lower `highpass_hz`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    notch_hz: tuple[
        tuple[Positive, Positive], ...
    ] = ()  # (centre, width) each; mains differ by country, so none unasked
    highpass_hz: Positive | None = 65.0  # published; removes motion artefacts and most of the ECG
    highpass_order: Annotated[int, Field(ge=1, le=10)] = 4  # of the low-pass too; doubled by running both ways
    lowpass_hz: Positive | None = None  # upper edge of a band-pass, often 450 Hz; resampling low-passes anyway
    ecg: Literal["template", "high-pass"] | None = None  # removal of the heart from trunk muscles; see `ecg`
    ecg_muscles: tuple[str, ...] = ()  # labels that `ecg` is applied to; all of them without one
    ecg_highpass_hz: Positive = 30.0  # for "high-pass": 4th-order Butterworth of Drake & Callaghan 2006
    resample_hz: Positive | None = 500.0  # 2 ms bins as published; never raised above the recording's own rate
    clip_quantile: Fractional = 0.999  # single-sample artefacts would otherwise own the scale and the likelihood
    relative_to: Literal["q95", "task_maximum", "mvc"] = "q95"
    scale_quantile: Fractional = 0.95  # of the rectified EMG, for relative_to="q95"
    peak_window_s: Positive = 0.5  # moving window whose peak mean is the maximum, for "task_maximum" and "mvc"

    def for_muscles(self, muscles: Sequence[str]) -> EmgConditioning:
        """The same for a trial that has only these muscles: `ecg_muscles` names no others."""
        if not self.ecg_muscles:
            return self
        present = tuple(m for m in self.ecg_muscles if m in muscles)
        return self.model_copy(update={"ecg_muscles": present, "ecg": self.ecg if present else None})


def mains_notch(
    rate_hz: float, frequency_hz: float = 50.0, width_hz: float = 2.0, up_to_hz: float = 450.0
) -> tuple[tuple[float, float], ...]:
    """The notches (centre, width) at the mains frequency and its harmonics, for `EmgConditioning.notch_hz`.

    Examples
    --------
    >>> mains_notch(1000.0, 60.0, up_to_hz=200.0)
    ((60.0, 2.0), (120.0, 2.0), (180.0, 2.0))
    """
    highest = min(up_to_hz, rate_hz / 2 - width_hz)
    return tuple((frequency_hz * k, width_hz) for k in range(1, int(highest // frequency_hz) + 1))
