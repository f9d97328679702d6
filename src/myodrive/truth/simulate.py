"""One call gives a recording whose activation is known."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection

import numpy as np
import xarray as xr
from jaxtyping import Float

from myodrive.errors import OptionError
from myodrive.recording import Recording, Source, make_events, make_signal
from myodrive.truth import behaviour, drives, electrodes, motor_units
from myodrive.truth.scenarios import Scenario, SimulatedMuscle, find_scenario

CONTROL_HZ = 500.0  # of the drives and of the true activation: ten times what any drive contains
FORCE_HZ = 250.0
EXTRAS = ("force", "angles", "spikes")
_DRIVES = {
    "gait": drives.gait_drive,
    "reach": drives.reach_drive,
    "steps": drives.step_drive,
    "smooth": drives.smooth_drive,
}


def simulate_recording(
    scenario: str | Scenario = "gait",
    *,
    seed: int = 0,
    n_muscles: int = 8,
    n_latents: int = 4,
    duration_s: float = 60.0,
    snr_db: float = 20.0,
    rate_hz: float = 2000.0,
    with_: Collection[str] = (),
) -> Recording:
    """Simulate EMG from common drives through pools of motor units, with the true activation beside it.

    latents → activation in [0, 1] → discharges of each muscle's motor units (Fuglevand, Winter & Patla 1993,
    10.1152/jn.1993.70.6.2470) → action potentials at a bipolar electrode → crosstalk, disturbances, noise.

    Parameters
    ----------
    scenario : str or Scenario
        A name of `SCENARIOS` or a setting of one's own.
    seed : int
        The same seed gives the same bits. Drives and discharges do not depend on `snr_db` or `with_`.
    n_muscles : int
        1 to 16, in the order of the scenario.
    n_latents : int
        Common drives, 2 to 6.
    duration_s : float
        At least 2 s.
    snr_db : float
        Mean power of the undisturbed EMG over that of the amplifier's noise, in each channel.
    rate_hz : float
        Of the EMG; at least 500 Hz.
    with_ : collection of str
        What else the recording holds: "force", "angles", "spikes".

    Returns
    -------
    Recording
        Signals ``emg`` (time, muscle) in V; ``activation`` (time, muscle) and ``latents`` (time, latent) at 500 Hz;
        and on request ``forces`` (time, channel), ``angles`` (time, joint), ``spikes`` (time, neuron).

    Raises
    ------
    OptionError
        If an option has a value that makes no sense.

    Examples
    --------
    >>> recording = simulate_recording("gait", seed=1, n_muscles=4, duration_s=3)
    >>> list(recording.signals)
    ['emg', 'activation', 'latents']
    """
    setting = find_scenario(scenario)
    _check(setting, n_muscles, n_latents, duration_s, rate_hz, with_)
    muscles = setting.muscles[:n_muscles]
    n_control = round(duration_s * CONTROL_HZ)
    streams = np.random.SeedSequence(seed).spawn(5 + n_muscles)
    for_drive, for_mixing, for_disturbance, for_noise, for_spikes, *for_muscle = map(np.random.default_rng, streams)

    drive = _DRIVES[setting.drive](n_latents, n_control, CONTROL_HZ, for_drive)
    latents = _oscillating(drive.latents, setting)
    activation = drives.mix(latents, np.array([m.phase for m in muscles]), setting.peak_activation, for_mixing)

    events_s = np.array([time for time, _, _ in drive.events])
    streams_of_emg = EmgStreams(for_disturbance, for_noise, tuple(for_muscle))
    emg, force = emg_of_activation(activation, setting, events_s, streams_of_emg, snr_db, rate_hz, "force" in with_)

    names = [f"latent {k + 1}" for k in range(n_latents)]
    signals = {
        **emg_signals(emg, activation, muscles, rate_hz),
        "latents": make_signal(latents, ("time", "latent"), {"latent": names}, units="1", rate_hz=CONTROL_HZ),
        **_behaviour(setting, n_muscles, activation, force, latents, for_spikes, with_),
    }
    return Recording(
        signals,
        events=make_events(drive.events),
        subject=f"simulated {seed}",
        movement=setting.name,
        source=Source(reader="simulate_recording"),
        info={
            "simulation": {
                "scenario": setting.model_dump(mode="json", exclude={"muscles"}),
                "seed": seed,
                "n_latents": n_latents,
                "snr_db": snr_db,
            }
        },
    )


@dataclasses.dataclass(frozen=True)
class EmgStreams:
    """The random numbers of a recording's EMG: of its disturbances, of the amplifier, and of each muscle's motor units."""

    disturbance: np.random.Generator
    noise: np.random.Generator
    muscles: tuple[np.random.Generator, ...]


def emg_of_activation(
    activation: Float[np.ndarray, "time muscle"],
    setting: Scenario,
    events_s: Float[np.ndarray, " event"],
    streams: EmgStreams,
    snr_db: float,
    rate_hz: float,
    with_force: bool = False,
) -> tuple[Float[np.ndarray, "sample muscle"], Float[np.ndarray, "instant muscle"]]:
    """The EMG in volts, and the force of the same discharges (0 unless asked for), that an activation at 500 Hz gives."""
    duration_s, n_muscles = len(activation) / CONTROL_HZ, activation.shape[1]
    n_time = round(duration_s * rate_hz)
    clean, force = np.zeros((n_time, n_muscles)), np.zeros((round(duration_s * FORCE_HZ), n_muscles))
    for i, rng in enumerate(streams.muscles):
        rates_hz = motor_units.discharge_rates_hz(activation[:, i], setting.pool)
        times_s, units = motor_units.discharges(rates_hz, CONTROL_HZ, setting.pool.interval_cv, rng)
        potentials = electrodes.action_potentials(setting.pool, setting.electrode, rate_hz, rng)
        volts = 1e-3 * rng.uniform(*setting.electrode.maximum_mv)
        volts /= electrodes.expected_rms(np.ones(1), potentials, setting.pool, rate_hz)[0]
        clean[:, i] = volts * electrodes.sum_potentials(times_s, units, potentials, n_time, rate_hz)
        if with_force:
            force[:, i] = motor_units.twitch_force(times_s, units, setting.pool, len(force), FORCE_HZ)
    clean = electrodes.add_crosstalk(clean, setting.disturbance.crosstalk)
    added = electrodes.disturb(clean, events_s, setting.disturbance, rate_hz, streams.disturbance)
    noise = electrodes.amplifier_noise(clean, snr_db, streams.noise)
    return electrodes.amplifier(clean + added, rate_hz) + noise, force


def emg_signals(
    emg: Float[np.ndarray, "sample muscle"],
    activation: Float[np.ndarray, "time muscle"],
    muscles: tuple[SimulatedMuscle, ...],
    rate_hz: float,
) -> dict[str, xr.DataArray]:
    """The signals ``emg`` and ``activation`` of a recording."""
    labels = [m.label for m in muscles]
    about = {"name": ("muscle", [m.name for m in muscles]), "side": ("muscle", [m.side for m in muscles])}
    raw = make_signal(emg, ("time", "muscle"), {"muscle": labels}, units="V", rate_hz=rate_hz, stage="raw")
    truth = make_signal(activation, ("time", "muscle"), {"muscle": labels}, units="1", rate_hz=CONTROL_HZ)
    return {"emg": raw.assign_coords(about), "activation": truth.assign_coords(about)}


def _check(
    setting: Scenario, n_muscles: int, n_latents: int, duration_s: float, rate_hz: float, with_: Collection[str]
) -> None:
    limits = {
        "n_muscles": (n_muscles, 1, len(setting.muscles)),
        "n_latents": (n_latents, 2, 6),
        "duration_s": (duration_s, 2, 24 * 3600),
        "rate_hz": (rate_hz, 500, 50_000),
    }
    for name, (value, low, high) in limits.items():
        if not low <= value <= high:
            raise OptionError(f"is {value:g}; it must lie between {low} and {high}.", where=name)
    unknown = sorted(set(with_) - set(EXTRAS))
    if unknown:
        raise OptionError(f"'{unknown[0]}' cannot be simulated. There are: {', '.join(EXTRAS)}.", where="with_")


def _oscillating(latents: np.ndarray, setting: Scenario) -> np.ndarray:
    if setting.oscillation_hz is None:
        return latents
    time = np.arange(latents.shape[0]) / CONTROL_HZ
    return latents * (1 + setting.oscillation_depth * np.sin(2 * np.pi * setting.oscillation_hz * time))[:, None]


def _behaviour(
    setting: Scenario,
    n_muscles: int,
    activation: np.ndarray,
    force: np.ndarray,
    latents: np.ndarray,
    rng: np.random.Generator,
    with_: Collection[str],
) -> dict[str, xr.DataArray]:
    joints, pulls = behaviour.pull_matrix(setting.muscles[:n_muscles])
    signals = {}
    if "force" in with_:
        directions = pulls / np.abs(pulls).sum(axis=0)  # the axis of a transducer: 100 N if all that pull forward do so
        signals["forces"] = make_signal(
            100.0 * force @ directions, ("time", "channel"), {"channel": joints}, units="N", rate_hz=FORCE_HZ
        )
    if "angles" in with_:
        angles = behaviour.joint_angles(activation, pulls, CONTROL_HZ)
        signals["angles"] = make_signal(angles, ("time", "joint"), {"joint": joints}, units="deg", rate_hz=CONTROL_HZ)
    if "spikes" in with_:
        counts = behaviour.cortical_spikes(latents, CONTROL_HZ, rng)
        neurons = [f"neuron {i + 1}" for i in range(counts.shape[1])]
        signals["spikes"] = make_signal(counts, ("time", "neuron"), {"neuron": neurons}, units="1", rate_hz=100.0)
    return signals
