"""Recordings of which it is known what in each channel is not its own muscle: noise that all share, or crosstalk.

Beside the frozen scenarios, which have several disturbances at once, these have one each: what an estimate has of it can
be told from the activation.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr

from myodrive.errors import OptionError
from myodrive.recording import Recording, sampling_rate
from myodrive.truth.electrodes import Disturbance, amplifier
from myodrive.truth.scenarios import ARM, Scenario
from myodrive.truth.simulate import simulate_recording

LEAKS = ("bursts", "crosstalk")
BURSTS_PER_MINUTE, BURST_S, BURST = 60.0, (0.02, 0.06), 2.0  # strength relative to the channel's root mean square
CROSSTALK = 0.15


def simulate_leak(kind: str, *, seed: int = 1000, **options: Any) -> Recording:
    """Reaches whose EMG has noise or crosstalk in it, with the signal ``foreign`` (time, muscle), in V, that was added.

    Parameters
    ----------
    kind : str
        "bursts": sixty times a minute, broad-band noise for 20 to 60 ms, the same in all channels but for its gain, as
        of a stimulator or a shaken connector. "crosstalk": every channel sees its neighbours' EMG at .15 of their
        amplitude.
    seed : int
        Drives and discharges are the same for both kinds.
    **options
        Of `simulate_recording`.

    Raises
    ------
    OptionError
        If there is no such kind.
    """
    if kind not in LEAKS:
        raise OptionError(f"there is no leak '{kind}'. There are: {', '.join(LEAKS)}.", where="kind")
    clean = _reaches(0.0, seed, options)
    if kind == "crosstalk":
        mixed = _reaches(CROSSTALK, seed, options)
        return mixed.with_signal("foreign", mixed["emg"] - clean["emg"])
    foreign = _bursts(clean["emg"], np.random.default_rng([seed, 1]))
    emg = clean["emg"]
    return clean.with_signal("emg", emg.copy(data=emg.values + foreign.values)).with_signal("foreign", foreign)


def _reaches(crosstalk: float, seed: int, options: dict[str, Any]) -> Recording:
    scenario = Scenario(
        name="leak",
        drive="reach",
        muscles=ARM,
        peak_activation=(0.2, 0.6),
        disturbance=Disturbance(crosstalk=crosstalk),
    )
    return simulate_recording(scenario, seed=seed, **options)


def _bursts(emg: xr.DataArray, rng: np.random.Generator) -> xr.DataArray:
    rate, (n_time, n_muscle) = sampling_rate(emg), emg.shape
    window = np.zeros(n_time)
    for _ in range(rng.poisson(BURSTS_PER_MINUTE * n_time / rate / 60)):
        start, length = rng.uniform(0, n_time), rng.uniform(*BURST_S) * rate
        window[int(start) : int(start + length)] = 1.0
    noise = amplifier(np.outer(window * rng.standard_normal(n_time), rng.uniform(0.5, 1.5, n_muscle)), rate)
    return emg.copy(data=BURST * np.sqrt(np.mean(emg.values**2, axis=0)) * noise)
