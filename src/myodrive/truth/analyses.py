"""Short recordings made for the published analyses, each with its effect and without it: the right answer is known.

The frozen scenarios are what estimators are judged on; these are what *analyses* are judged on. Each maker gives the
same EMG with and without the effect, as far as the effect is not in the EMG itself: what is taken away is the relation.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable

import numpy as np
import xarray as xr
from jaxtyping import Float
from scipy.ndimage import gaussian_filter1d

from myodrive.errors import OptionError
from myodrive.recording import Recording, Source, make_events, make_signal
from myodrive.truth import behaviour, drives
from myodrive.truth.drives import Drive
from myodrive.truth.electrodes import Disturbance
from myodrive.truth.scenarios import FOREARM, LEGS, Scenario, SimulatedMuscle
from myodrive.truth.simulate import CONTROL_HZ, FORCE_HZ, EmgStreams, emg_of_activation, emg_signals

N_LATENTS = 3
ANGLE_NOISE_DEG = 0.2  # of a motion capture system
OSCILLATION_HZ = (18.0, 26.0)  # the beta band of corticomuscular coherence
OSCILLATION_DEPTH = 0.35  # root mean square, relative to the level of the drive
FORCE_TIME_S = 0.025  # of a muscle's twitch and tendon: an oscillation of 22 Hz passes with 8 %
FORCE_NOISE = 2e-4  # of a force transducer, relative to the largest force
PHASES_CYCLE_S = 1.6  # half of it tonic, half in bursts
BURST_SIGMA_S = 0.025  # of fluctuations in the phase of bursts
TONIC_SIGMA_S = 0.5  # in the tonic phase

Signals = dict[str, xr.DataArray]
Behaviour = Callable[
    [Drive, Float[np.ndarray, "time muscle"], tuple[SimulatedMuscle, ...], np.random.Generator], Signals
]


def simulate_for_analysis(
    analysis: str,
    *,
    effect: bool = True,
    seed: int = 1000,
    n_muscles: int = 5,
    duration_s: float = 25.0,
    snr_db: float = 20.0,
    rate_hz: float = 2000.0,
) -> Recording:
    """Simulate a recording on which a published analysis has a known answer.

    Parameters
    ----------
    analysis : str
        "decoding": strides, with the joint angles of a limb that the true activations move.
        "frequency-response": cycles whose drive is tonic in the first half and fluctuates fast in the second.
        "force-coherence": isometric force in steps, all drives oscillating together between 18 and 26 Hz.
        "cortical": smooth drives with the spikes of a population that is tuned to them.
    effect : bool
        Without it: angles, oscillation of the force, or spikes belong to other drives of the same making; the drive is
        of one kind throughout, whatever the cycles say.
    seed : int
        The same seed gives the same bits, and the same EMG with and without the effect where that is not in the EMG.
    n_muscles, duration_s, snr_db, rate_hz
        As of `simulate_recording`.

    Returns
    -------
    Recording
        ``emg``, ``activation`` and what goes with the analysis: ``angles``, ``forces`` or ``spikes``; events.

    Raises
    ------
    OptionError
        If there is no such analysis.

    Examples
    --------
    >>> recording = simulate_for_analysis("cortical", n_muscles=2, duration_s=3)
    >>> list(recording.signals)
    ['emg', 'activation', 'spikes']
    """
    makers = {
        "decoding": _locomotion,
        "frequency-response": _phases,
        "force-coherence": _oscillating_force,
        "cortical": _cortical,
    }
    if analysis not in makers:
        raise OptionError(f"no recording is made for '{analysis}'. There are: {', '.join(makers)}.")
    streams = np.random.SeedSequence([seed, list(makers).index(analysis)]).spawn(5 + n_muscles)
    for_drive, for_other, for_mixing, for_disturbance, for_noise, *for_muscle = map(np.random.default_rng, streams)
    n_control = round(duration_s * CONTROL_HZ)
    drive, setting, relate = makers[analysis](n_control, effect, for_drive, for_other)
    muscles = setting.muscles[:n_muscles]
    phases = np.array([m.phase for m in muscles])
    activation = drives.mix(drive.latents, phases, setting.peak_activation, for_mixing)
    emg, _ = emg_of_activation(
        activation,
        setting,
        np.array([time for time, _, _ in drive.events]),
        EmgStreams(for_disturbance, for_noise, tuple(for_muscle)),
        snr_db,
        rate_hz,
    )
    return Recording(
        {**emg_signals(emg, activation, muscles, rate_hz), **relate(drive, activation, muscles, for_other)},
        events=make_events(drive.events),
        subject=f"simulated {seed}",
        movement=f"{analysis}, {'with' if effect else 'without'} the effect",
        source=Source(reader="simulate_for_analysis"),
        info={"simulation": {"analysis": analysis, "effect": effect, "seed": seed, "snr_db": snr_db}},
    )


def _locomotion(
    n_time: int, effect: bool, rng: np.random.Generator, other: np.random.Generator
) -> tuple[Drive, Scenario, Behaviour]:
    """Strides; without the effect the limb is moved by the activations of another walk."""
    drive = drives.gait_drive(N_LATENTS, n_time, CONTROL_HZ, rng)

    def angles(
        drive: Drive, activation: np.ndarray, muscles: tuple[SimulatedMuscle, ...], rng: np.random.Generator
    ) -> Signals:
        if not effect:
            start = int(
                rng.integers(n_time // 2, n_time)
            )  # two walks that begin together would keep in step for a while
            latents = drives.gait_drive(N_LATENTS, start + n_time, CONTROL_HZ, rng).latents[start:]
            activation = drives.mix(latents, np.array([m.phase for m in muscles]), LOCOMOTION.peak_activation, rng)
        joints, pulls = behaviour.pull_matrix(muscles)
        moved = behaviour.joint_angles(activation, pulls, CONTROL_HZ)[::5]
        moved += ANGLE_NOISE_DEG * rng.standard_normal(moved.shape)
        signal = make_signal(moved, ("time", "joint"), {"joint": joints}, units="deg", rate_hz=CONTROL_HZ / 5)
        return {"angles": signal}

    return drive, LOCOMOTION, angles


def _phases(
    n_time: int, effect: bool, rng: np.random.Generator, other: np.random.Generator
) -> tuple[Drive, Scenario, Behaviour]:
    """Cycles of a tonic and a fluctuating half; without the effect the drive is one mixture of both throughout."""
    time = np.arange(n_time) / CONTROL_HZ
    slow, fast = (_fluctuation(n_time, sigma, rng) for sigma in (TONIC_SIGMA_S, BURST_SIGMA_S))
    starts = np.cumsum(rng.normal(PHASES_CYCLE_S, 0.05, int(time[-1] / PHASES_CYCLE_S) + 3)) - PHASES_CYCLE_S
    in_cycle = np.interp(time, starts, np.arange(starts.size)) % 1.0
    bursting = 1 / (1 + np.exp(-np.sin(2 * np.pi * (in_cycle - 0.5)) / 0.1))  # 0 in the first half, 1 in the second
    share = bursting[:, None] if effect else 0.5
    latents = 0.05 + np.sqrt(1 - share) * slow + np.sqrt(share) * fast
    events = [(float(t), "cycle onset", "") for t in starts if 0 <= t < time[-1]]
    events += [(float(b), "cycle end", "") for a, b in itertools.pairwise(starts) if 0 <= a < time[-1]]
    return Drive(latents, events), PHASES, lambda *_: {}


def _oscillating_force(
    n_time: int, effect: bool, rng: np.random.Generator, other: np.random.Generator
) -> tuple[Drive, Scenario, Behaviour]:
    """Steps of force with an oscillation of all drives; without the effect the force has one of its own."""
    steady = drives.step_drive(N_LATENTS, n_time, CONTROL_HZ, rng)
    steady = Drive(steady.latents + 0.15, steady.events)  # the force is never let go altogether
    own, foreign = (1 + OSCILLATION_DEPTH * _oscillation(n_time, r)[:, None] for r in (rng, other))

    def force(
        drive: Drive, activation: np.ndarray, muscles: tuple[SimulatedMuscle, ...], rng: np.random.Generator
    ) -> Signals:
        seen = activation if effect else activation / own * foreign
        # A grip: every muscle adds to it. Along a joint, antagonists would turn the oscillation round from step to step.
        strength = np.abs(behaviour.pull_matrix(muscles)[1]).sum(axis=1, keepdims=True)
        pull = behaviour.critically_damped(seen @ (strength / strength.sum()), FORCE_TIME_S, CONTROL_HZ)
        newton = 100.0 * pull[:: round(CONTROL_HZ / FORCE_HZ)]
        newton += FORCE_NOISE * np.abs(newton).max(axis=0) * rng.standard_normal(newton.shape)
        signal = make_signal(newton, ("time", "channel"), {"channel": ["grip"]}, units="N", rate_hz=FORCE_HZ)
        return {"forces": signal}

    return Drive(steady.latents * own, steady.events), ISOMETRIC, force


def _cortical(
    n_time: int, effect: bool, rng: np.random.Generator, other: np.random.Generator
) -> tuple[Drive, Scenario, Behaviour]:
    """Smooth drives and units tuned to them; without the effect to others of the same making."""
    drive = drives.smooth_drive(N_LATENTS, n_time, CONTROL_HZ, rng)

    def spikes(
        drive: Drive, activation: np.ndarray, muscles: tuple[SimulatedMuscle, ...], rng: np.random.Generator
    ) -> Signals:
        latents = drive.latents if effect else drives.smooth_drive(N_LATENTS, n_time, CONTROL_HZ, rng).latents
        counts = behaviour.cortical_spikes(latents, CONTROL_HZ, rng)
        names = [f"neuron {i + 1}" for i in range(counts.shape[1])]
        return {"spikes": make_signal(counts, ("time", "neuron"), {"neuron": names}, units="1", rate_hz=100.0)}

    return drive, CORTICAL, spikes


def _fluctuation(n_time: int, sigma_s: float, rng: np.random.Generator) -> Float[np.ndarray, "time latent"]:
    """Smooth noise, rectified softly, of mean and spread that do not depend on how fast it is."""
    noise = rng.standard_normal((n_time, N_LATENTS))
    noise = gaussian_filter1d(noise, sigma_s * CONTROL_HZ, axis=0, mode="wrap")
    return np.logaddexp(0, 3 * noise / noise.std(axis=0)) / 3


def _oscillation(n_time: int, rng: np.random.Generator) -> Float[np.ndarray, " time"]:
    """Noise within `OSCILLATION_HZ`, of unit root mean square."""
    spectrum = np.fft.rfft(rng.standard_normal(n_time))
    hz = np.fft.rfftfreq(n_time, 1 / CONTROL_HZ)
    low, high = OSCILLATION_HZ
    edge = 0.5 * (1 + np.tanh(hz - low)) * 0.5 * (1 + np.tanh(high - hz))
    noise = np.fft.irfft(spectrum * edge, n=n_time)
    return np.clip(noise / noise.std(), -2.5, 2.5)  # a drive is never negative


_QUIET = Disturbance(crosstalk=0.05, mains=0.02)
LOCOMOTION = Scenario(name="locomotion", drive="gait", muscles=LEGS[:8], peak_activation=(0.3, 0.7), disturbance=_QUIET)
PHASES = Scenario(name="phases", drive="smooth", muscles=FOREARM[:8], peak_activation=(0.5, 0.8), disturbance=_QUIET)
ISOMETRIC = Scenario(
    name="isometric force", drive="steps", muscles=FOREARM[:8], peak_activation=(0.5, 0.8), disturbance=_QUIET
)
CORTICAL = Scenario(
    name="cortical", drive="smooth", muscles=FOREARM[:8], peak_activation=(0.4, 0.8), disturbance=_QUIET
)
