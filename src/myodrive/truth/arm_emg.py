"""From the activation of a trial to what a laboratory keeps of its EMG: motor units, electrode, envelope, share of a maximum.

Each person has one set of motor units below each electrode, the same in all trials.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
import xarray as xr
from jaxtyping import Float
from scipy.interpolate import PchipInterpolator

from myodrive.conditioning.emg import filter_emg, rectify_emg
from myodrive.conditioning.envelope import smooth_run
from myodrive.conditioning.options import EmgConditioning
from myodrive.recording import make_signal, sampling_rate
from myodrive.truth.electrodes import (
    Electrode,
    action_potentials,
    add_crosstalk,
    amplifier,
    expected_rms,
    sum_potentials,
)
from myodrive.truth.motor_units import MotorUnitPool, discharge_rates_hz, discharges
from myodrive.truth.simulate import CONTROL_HZ

RAW_HZ, RATE_HZ = 2000.0, 100.0
CUTOFF_HZ = 6.0  # of the envelope, as `PairedEstimator` takes it
FULL_V = 5e-4  # of every muscle at an activation of 1, root mean square
NOISE_V = 5e-6  # of the amplifier, white: a hundredth of that
MAXIMUM_S = 3.0  # how long a maximum contraction is held
MEASURED = {  # the label of an electrode: the muscles of the model below it, and the muscle's name
    "R DELT ANT": (("DELT1",), "anterior deltoid"),
    "R DELT MED": (("DELT2",), "middle deltoid"),
    "R DELT POST": (("DELT3",), "posterior deltoid"),
    "R PEC MAJ": (("PECM1",), "pectoralis major"),
    "R BIC": (("BIClong", "BICshort"), "biceps brachii"),
    "R TRI LAT": (("TRIlat",), "triceps brachii caput laterale"),
    "R BRD": (("BRD",), "brachioradialis"),
    "R INFRA": (("INFSP",), "infraspinatus"),
}
_POOL, _OPTIONS = MotorUnitPool(), EmgConditioning()


@dataclasses.dataclass(frozen=True)
class Electrodes:
    """What lies below the electrodes of one person, and the EMG of their maximum contraction."""

    potentials: tuple[Float[np.ndarray, "unit lag"], ...]  # V, of each muscle
    crosstalk: float  # share of the next muscle's EMG that is seen
    maximum: Float[np.ndarray, " muscle"]  # V, of the envelope


def place_electrodes(effort: Float[np.ndarray, " muscle"], crosstalk: float, rng: np.random.Generator) -> Electrodes:
    """Motor units of each muscle, and a maximum contraction in which each reaches `effort` of its own maximum."""
    potentials = []
    for _ in effort:
        shapes = action_potentials(_POOL, Electrode(), RAW_HZ, rng)
        potentials.append(FULL_V / expected_rms(np.ones(1), shapes, _POOL, RAW_HZ)[0] * shapes)
    found = Electrodes(tuple(potentials), crosstalk, np.ones(effort.size))
    held = np.broadcast_to(effort, (round(MAXIMUM_S * RATE_HZ), effort.size))
    envelope = emg_envelope(raw_emg(held, found, rng))
    middle = slice(len(held) // 4, -len(held) // 4)  # away from the filters' ends
    return dataclasses.replace(found, maximum=envelope[middle].mean(axis=0))


def raw_emg(
    activation: Float[np.ndarray, "time muscle"], electrodes: Electrodes, rng: np.random.Generator
) -> Float[np.ndarray, "sample muscle"]:
    """EMG at 2 kHz, V, of an activation at 100 Hz."""
    n_time = len(activation) - 1
    control = np.arange(round(n_time * CONTROL_HZ / RATE_HZ) + 1) / CONTROL_HZ
    finer = np.clip(PchipInterpolator(np.arange(n_time + 1) / RATE_HZ, activation)(control), 0, 1)
    n_sample = round(n_time * RAW_HZ / RATE_HZ) + 1
    emg = np.empty((n_sample, activation.shape[1]))
    for m, potentials in enumerate(electrodes.potentials):
        times_s, units = discharges(discharge_rates_hz(finer[:, m], _POOL), CONTROL_HZ, _POOL.interval_cv, rng)
        emg[:, m] = sum_potentials(times_s, units, potentials, n_sample, RAW_HZ)
    emg = amplifier(add_crosstalk(emg, electrodes.crosstalk), RAW_HZ)
    return emg + NOISE_V * rng.standard_normal(emg.shape)


def emg_envelope(raw: Float[np.ndarray, "sample muscle"]) -> Float[np.ndarray, "time muscle"]:
    """Filtered, rectified and smoothed as `PairedEstimator` does it, at 100 Hz, V."""
    rectified = rectify_emg(filter_emg(_signal(raw, [str(m) for m in range(raw.shape[1])]), _OPTIONS), _OPTIONS)
    rate = sampling_rate(rectified)
    smooth = np.stack([smooth_run(column, rate, CUTOFF_HZ) for column in rectified.values.T], axis=1)
    return smooth[:: round(rate / RATE_HZ)]


def _signal(raw: np.ndarray, muscles: Sequence[str]) -> xr.DataArray:
    return make_signal(raw, ("time", "muscle"), {"muscle": muscles}, units="V", rate_hz=RAW_HZ, stage="raw")
