"""Trials of a moving leg: what static optimisation says of it, and the muscle activity that really moved it.

The two differ by what static optimisation cannot know. The setting is frozen: it was chosen with seeds from 1000 up, and
refinements are judged on it, never tuned to it (`docs/truth.md`).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
import xarray as xr
from jaxtyping import Float
from pydantic import BaseModel, ConfigDict
from scipy.interpolate import PchipInterpolator
from scipy.ndimage import gaussian_filter1d

from myodrive.errors import OptionError
from myodrive.from_simulation.muscle_problem import MuscleProblem
from myodrive.from_simulation.static_optimization import solve_static_optimization
from myodrive.muscles import recognise
from myodrive.recording import Recording, Source, Study, make_events, make_signal
from myodrive.truth import leg
from myodrive.truth.electrodes import Electrode
from myodrive.truth.leg_movement import MOVEMENTS, Range, Trial, draw_trial
from myodrive.truth.leg_mujoco import MyoSimTrial
from myodrive.truth.scenarios import Scenario
from myodrive.truth.simulate import CONTROL_HZ, EmgStreams, emg_of_activation

RATE_HZ = 100.0  # of all signals but raw EMG
RAW_HZ = 2000.0
FULL_VOLTS = 5e-4  # of the EMG at an activation of 1, root mean square
NOISE_SIGMA_S = 0.03  # a Gaussian spectrum that has fallen by half (power) at 4.4 Hz
TRACKING = 20.0  # so much dearer than effort is it to leave the co-contraction that was meant
SNR_DB = 20.0  # of raw EMG
BODIES: dict[str, type[Trial]] = {"leg": Trial, "myo-sim": MyoSimTrial}


class LegSetting(BaseModel):
    """How the leg moves, and all that makes its muscles' activity differ from static optimisation."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    cadence_hz: Range = (0.5, 1.2)  # cycles per second, drawn per trial
    load_n: Range = (30.0, 100.0)  # against the motion of the foot, drawn per trial
    delay_s: Range = (0.14, 0.02)  # electromechanical, of the slowest and of the fastest trial
    cocontraction: Range = (0.0, 0.8)  # share of the antagonists' activation: slow and unloaded, fast and loaded
    rise_s: float = 0.03  # no muscle switches within a frame as static optimisation does: a Gaussian of this width
    gain: Range = (0.4, 1.0)  # drawn per muscle, the same in all trials of a person
    crosstalk: float = 0.1  # share of the next muscle's activity that is seen; falls by as much per muscle
    torque_noise: float = 0.02  # of the moments that are known, relative to their standard deviation
    emg_noise: float = 0.05  # of an envelope, relative to its root mean square


LEG = LegSetting()
UNDISTORTED = LegSetting(
    delay_s=(0.0, 0.0),
    cocontraction=(0.0, 0.0),
    rise_s=0.0,
    gain=(1.0, 1.0),
    crosstalk=0.0,
    torque_noise=0.0,
    emg_noise=0.0,
)


def simulate_trials(
    seed: int,
    n_trial: int = 40,
    *,
    duration_s: float = 10.0,
    movement: str = "cyclic",
    emg: str = "envelope",
    setting: LegSetting = LEG,
    body: str = "leg",
) -> Study:
    """Trials of one person at varied speed and load: simulated activity, measured EMG, and the activity behind it.

    The muscles' activity is what static optimisation makes of the moments, and besides: co-contraction that grows with
    speed and load while the joints' moments stay as they are; an electromechanical delay, shorter the faster the
    movement, by which it comes before the moments; a gain for each muscle; crosstalk. Gain and crosstalk belong to the
    person, the others to the trial.

    Parameters
    ----------
    seed : int
        Of the person and of all trials. The first trials are the same whatever `n_trial` is.
    n_trial : int
    duration_s : float
        Of each trial; at least 2 s.
    movement : "cyclic" or "irregular"
        Whether the frequencies of the movement are multiples of one, but for a slow change from cycle to cycle.
    emg : "envelope" or "raw"
        An envelope with a little noise at 100 Hz, or the EMG of motor units at 2 kHz.
    setting : LegSetting
    body : "leg" or "myo-sim"
        Whose muscles: nine along straight lines, or fourteen of the right leg of myo-sim (extra `mujoco`) at the same joint
        moments.

    Returns
    -------
    Study
        Each recording has ``simulated`` (plain static optimisation), ``emg`` (V) and ``activation`` (what the electrode
        is to show, the truth), all (time, muscle); ``angles`` (deg), ``moments`` (N m), ``moment_arms`` (m) and
        ``active_force`` (N), from which `muscle_problem` makes a `MuscleProblem`; ``markers`` (mm) and ``forces`` (on the
        foot, as OpenSim reads them; `leg_opensim` writes both), not with myo-sim; events at the start of each cycle.
        ``info["truth"]`` says what was drawn.

    Raises
    ------
    OptionError
        If an option has a value that makes no sense.
    MissingExtraError
        If the muscles are to be those of myo-sim and it, or `mujoco`, is not installed.
    """
    named = movement in MOVEMENTS and emg in ("envelope", "raw") and body in BODIES
    if n_trial < 1 or duration_s < 2 or not named:
        raise OptionError(
            f"there is no way to simulate {n_trial} trials of {duration_s:g} s, movement '{movement}', EMG '{emg}', body "
            f"'{body}'.",
            remedy="At least one trial of 2 s; movement 'cyclic' or 'irregular'; emg 'envelope' or 'raw'; body 'leg' or "
            "'myo-sim'.",
        )
    kind = BODIES[body]
    streams = np.random.SeedSequence(seed).spawn(1 + n_trial)
    of_person = np.random.default_rng(streams[0])
    gain = of_person.uniform(*setting.gain, len(kind.muscles))
    time = np.arange(round(duration_s * RATE_HZ)) / RATE_HZ
    recordings = []
    for k, stream in enumerate(streams[1:], 1):
        trial = draw_trial(movement, setting.cadence_hz, setting.load_n, np.random.default_rng(stream), kind)
        recording = _record(trial, time, gain, emg, setting, stream)
        recordings.append(recording.replace(subject=f"simulated {seed}", movement=movement, repetition=str(k)))
    return Study(recordings, name=body)


def true_activation(trial: Trial, time: Float[np.ndarray, " time"], share: float) -> Float[np.ndarray, "time muscle"]:
    """Static optimisation with each muscle drawn towards a share of its antagonists' activity, at the same moments."""
    problem = trial.problem(time)
    plain = solve_static_optimization(problem).activations
    if share == 0:
        return plain.values
    meant = plain.copy(data=np.clip(plain.values + share * plain.values @ opposition(trial), 0, 1))
    return solve_static_optimization(problem, tracking=meant, tracking_weight=TRACKING).activations.values


def opposition(trial: Trial) -> Float[np.ndarray, "muscle muscle"]:
    """How far two muscles pull against each other: minus the cosine between their moment arms at rest, or 0."""
    at_rest = dataclasses.replace(trial, sizes=0 * trial.sizes)
    arms = at_rest.problem(np.zeros(1)).moment_arms[0]
    directions = arms / np.linalg.norm(arms, axis=0)
    return np.maximum(-directions.T @ directions, 0)


# -- inside ----------------------------------------------------------------------------------------------------------


def _record(
    trial: Trial, time: np.ndarray, gain: np.ndarray, emg: str, setting: LegSetting, stream: np.random.SeedSequence
) -> Recording:
    for_torques, for_emg, *for_muscles = map(np.random.default_rng, stream.spawn(2 + gain.size))
    speed = _place(trial.cadence_hz, setting.cadence_hz)
    effort = (speed + _place(trial.load_n, setting.load_n)) / 2
    delay_s, share = np.interp(speed, (0, 1), setting.delay_s), np.interp(effort, (0, 1), setting.cocontraction)
    exact = trial.problem(time)
    noise = _smooth_noise(exact.torques.shape, for_torques)
    problem = dataclasses.replace(
        exact, torques=exact.torques + setting.torque_noise * exact.torques.std(axis=0) * noise
    )
    simulated = solve_static_optimization(problem).activations
    activation = gain * _without_switching(trial, time + delay_s, share, setting.rise_s)
    distance = np.abs(np.subtract.outer(np.arange(gain.size), np.arange(gain.size)))
    activation = activation @ np.where(distance == 0, 1.0, setting.crosstalk**distance)
    if emg == "raw":
        measured, rate_hz = _raw(activation, time, for_emg, for_muscles), RAW_HZ
    else:
        noise = _smooth_noise(activation.shape, for_emg) * np.sqrt(np.mean(activation**2, axis=0))
        measured, rate_hz = FULL_VOLTS * np.maximum(activation + setting.emg_noise * noise, 0), RATE_HZ
    return Recording(
        {
            "simulated": _of_muscles(simulated.values, trial.muscles, RATE_HZ, "1"),
            "emg": _of_muscles(measured, trial.muscles, rate_hz, "V").assign_attrs(stage=emg),
            "activation": _of_muscles(activation, trial.muscles, RATE_HZ, "1"),
            "active_force": _of_muscles(problem.active_force, trial.muscles, RATE_HZ, "N"),
            **_of_joints(trial.motion(time).angle * trial.turns, problem),
            **({} if isinstance(trial, MyoSimTrial) else _of_laboratory(trial, time)),
        },
        events=make_events([(float(t), "cycle start", "right") for t in trial.cycle_starts(time[-1])]),
        source=Source(reader="simulate_trials"),
        info={
            "truth": {
                "cadence_hz": trial.cadence_hz,
                "load_n": trial.load_n,
                "delay_s": float(delay_s),
                "cocontraction": float(share),
                "gain": gain.tolist(),
                "setting": setting.model_dump(mode="json"),
            }
        },
    )


def _without_switching(trial: Trial, time: np.ndarray, share: float, rise_s: float) -> np.ndarray:
    if rise_s == 0:
        return true_activation(trial, time, share)
    beside = np.arange(1, np.ceil(4 * rise_s * RATE_HZ) + 1) / RATE_HZ  # so far does the Gaussian reach
    around = np.r_[time[0] - beside[::-1], time, time[-1] + beside]
    smooth = gaussian_filter1d(true_activation(trial, around, share), rise_s * RATE_HZ, axis=0)
    return smooth[beside.size : -beside.size]


def _raw(
    activation: np.ndarray, time: np.ndarray, rng: np.random.Generator, of_muscles: list[np.random.Generator]
) -> np.ndarray:
    """EMG of motor units; an activation of 1 has the same root mean square in all trials."""
    control = np.arange(round(time.size * CONTROL_HZ / RATE_HZ)) / CONTROL_HZ
    finer = PchipInterpolator(time, activation)(np.minimum(control, time[-1]))
    maximum_mv = (1e3 * FULL_VOLTS, 1e3 * FULL_VOLTS)
    scenario = Scenario(
        name="leg", drive="gait", muscles=(), peak_activation=(0, 1), electrode=Electrode(maximum_mv=maximum_mv)
    )
    streams = EmgStreams(rng, rng, tuple(of_muscles))
    return emg_of_activation(np.clip(finer, 0, 1), scenario, np.empty(0), streams, SNR_DB, RAW_HZ)[0]


def _of_muscles(values: np.ndarray, muscles: Sequence[str], rate_hz: float, units: str) -> xr.DataArray:
    known = [recognise(name) for name in muscles]
    signal = make_signal(values, ("time", "muscle"), {"muscle": muscles}, units=units, rate_hz=rate_hz)
    return signal.assign_coords(name=("muscle", [k[0] for k in known]), side=("muscle", [k[1] for k in known]))


def _of_joints(angle_rad: np.ndarray, problem: MuscleProblem) -> dict[str, xr.DataArray]:
    dims = ("time", "joint")
    joints: dict[str, Sequence[str]] = {"joint": leg.JOINTS}
    labels = {**joints, "muscle": problem.muscles}
    arms = make_signal(problem.moment_arms, (*dims, "muscle"), labels, units="m", rate_hz=RATE_HZ)
    return {
        "angles": make_signal(np.degrees(angle_rad), dims, joints, units="deg", rate_hz=RATE_HZ),
        "moments": make_signal(problem.torques, dims, joints, units="N m", rate_hz=RATE_HZ),
        "moment_arms": arms,
    }


def _of_laboratory(trial: Trial, time: np.ndarray) -> dict[str, xr.DataArray]:
    """What cameras and a force plate would give."""
    motion = trial.motion(time)
    force, point = trial.load(motion), motion.follow(2, leg.BALL_OF_FOOT)[0]
    nothing = np.zeros(time.size)
    table = [force.real, force.imag, nothing, point.real, point.imag, nothing, nothing, nothing, nothing]
    channels = [f"foot_force_{part}{axis}" for part in "vp" for axis in "xyz"] + [f"foot_torque_{a}" for a in "xyz"]
    labels: dict[str, Sequence[str]] = {"marker": [*leg.MARKERS], "axis": ["x", "y", "z"]}
    markers = make_signal(1e3 * leg.marker_places(motion), ("time", *labels), labels, units="mm", rate_hz=RATE_HZ)
    forces = make_signal(
        np.column_stack(table), ("time", "channel"), {"channel": channels}, units="mixed", rate_hz=RATE_HZ
    )
    units = ["N"] * 3 + ["m"] * 3 + ["N m"] * 3
    return {"markers": markers, "forces": forces.assign_coords(unit=("channel", units))}


def _smooth_noise(shape: tuple[int, ...], rng: np.random.Generator) -> np.ndarray:
    """Gaussian noise of standard deviation 1 that a measurement after its low-pass still has."""
    noise = gaussian_filter1d(rng.standard_normal(shape), NOISE_SIGMA_S * RATE_HZ, axis=0, mode="wrap")
    return noise / noise.std(axis=0)


def _place(value: float, within: Range) -> float:
    """0 at the lower end of a range, 1 at the upper."""
    return (value - within[0]) / (within[1] - within[0])
