"""Movements of the arms of several people, with EMG and the muscle activity behind it: the published set-up, with the truth.

23 movements of the upper limb, eight muscles, five people to learn from and fifteen who are new. Activity is what static
optimisation makes of the moments of a model, and what it never gives: co-contraction, an electromechanical delay, people of
other strength and habits, a load in the hand that no signal tells. The setting is frozen (`docs/arm.md`): it was chosen with
seeds from 1000 up, and no network had been trained on it.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from jaxtyping import Float
from pydantic import BaseModel, ConfigDict
from scipy.interpolate import CubicSpline
from scipy.ndimage import gaussian_filter1d

from myodrive.errors import OptionError
from myodrive.from_simulation.mujoco_model import MujocoModel
from myodrive.from_simulation.muscle_problem import MuscleProblem
from myodrive.from_simulation.static_optimization import solve_static_optimization
from myodrive.from_simulation.steps import MUSCLE_RESERVE
from myodrive.recording import Recording, Source, Study, make_signal
from myodrive.truth import arm_body, arm_emg
from myodrive.truth.arm_body import BALANCED, JOINTS, MARKERS, MUSCLES, Geometry
from myodrive.truth.arm_file import read_arm, write_arm
from myodrive.truth.arm_movements import MOVEMENTS, Habit, Motion, Movement, draw_habit, draw_motion

VERSION = 1  # of the scenario; another is another file in the cache
RATE_HZ = arm_emg.RATE_HZ
TRACKING = 20.0  # so much dearer than effort is it to leave the co-contraction that was meant
FAST_RAD_S = 2.5  # root mean square over four joints at which co-contraction has grown by `with_speed`
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
Range = tuple[float, float]


class ArmSetting(BaseModel):
    """How people differ and trials vary. Spreads are standard deviations of a logarithm unless said otherwise."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    strength: float = 0.8  # of all muscles, relative to the model
    strength_spread: float = 0.12  # of people
    muscle_spread: float = 0.1  # of each muscle of a person
    delay_s: Range = (0.03, 0.08)  # electromechanical, drawn per person: so much does activity lead
    cocontraction: Range = (0.1, 0.3)  # share of the antagonists' activity, drawn per person
    cocontraction_muscle: float = 0.3  # spread over the muscles of a person
    cocontraction_movement: float = 0.1  # over the movements of a person
    cocontraction_trial: float = 0.15
    with_speed: float = 0.6  # growth of co-contraction and tone in fast movements
    tone: Range = (0.002, 0.01)  # activity without any need, drawn per muscle of a person
    load_spread: float = 1.0  # of the load in the hand (Beta(4, 4) over the movement's range); 0 for its middle
    resistance_trial: float = 0.1
    rise_s: float = 0.03  # no muscle switches within a frame: a Gaussian of this width
    effort: Range = (0.9, 1.0)  # reached in the maximum contraction, drawn per muscle of a person
    crosstalk: float = 0.03  # share of the next muscle's EMG that an electrode sees


ARM = ArmSetting()


@dataclasses.dataclass(frozen=True)
class Person:
    """Who moves: fixed in all trials."""

    name: str
    known: bool  # one of those to learn from
    height_m: float
    mass_kg: float
    proportion: float  # of the arm, relative to one of that height
    strength: Float[np.ndarray, " muscle"]
    delay_s: float
    cocontraction: Float[np.ndarray, " muscle"]
    of_movement: dict[str, float]  # factor of co-contraction
    tone: Float[np.ndarray, " muscle"]
    resistance: float  # factor
    habit: Habit
    electrodes: arm_emg.Electrodes | None


@dataclasses.dataclass(frozen=True)
class Trial:
    """What was drawn for one repetition of one movement."""

    movement: Movement
    repetition: int
    motion: Motion
    load_kg: float
    cocontraction: float  # factor
    resistance: float  # factor

    @property
    def time(self) -> Float[np.ndarray, " time"]:
        """The instants of its samples, s."""
        return np.arange(round(self.motion.duration_s * RATE_HZ) + 1) / RATE_HZ


def simulate_arm(
    seed: int = 0,
    *,
    n_known: int = 5,
    n_new: int = 15,
    n_repetition: int = 8,
    n_repetition_new: int = 4,
    movements: Sequence[str] | None = None,
    speed: float = 1.0,
    reach: float = 1.0,
    emg: str = "envelope",
    setting: ArmSetting = ARM,
    n_workers: int = 1,
    cache: str | Path | None = None,
) -> Study:
    """Arm movements of several people with EMG, and beside it the activity that made it.

    Parameters
    ----------
    seed : int
        Of people and trials. The same person does the same in the same repetition, whatever else is asked for.
    n_known, n_new : int
        People to learn from ("known 1", …) and those who are new ("new 1", …).
    n_repetition, n_repetition_new : int
        Of each movement, by people of one and the other kind.
    movements : sequence of str, optional
        Names among `MOVEMENTS`; all 23 without.
    speed, reach : float
        By how much all movements are faster, and wider about where they start (as far as joints go), than usual.
    emg : "envelope", "raw" or "none"
        The envelope at 100 Hz as a share of the person's maximum contraction; EMG of motor units at 2 kHz in V; or none.
    setting : ArmSetting
    n_workers : int
        Processes, each of which simulates one person after the other. A script that asks for more than one must start
        under ``if __name__ == "__main__":``.
    cache : path, optional
        A folder. What was asked for before with the same options is read from there, all else is written there.

    Returns
    -------
    Study
        One recording a trial: ``angles`` (time, joint; deg), ``markers`` (time, marker, axis; mm; x forwards, y up, z to
        the right), ``emg`` (time, muscle; units "1", stage "envelope") and ``activation`` (time, muscle; the truth), all
        at 100 Hz; ``subject``, ``movement``, ``repetition``. ``info["body"]`` has the person's ``height_m``, ``mass_kg``,
        ``upper_arm_m``, ``forearm_m`` and ``hand_m``, ``info["truth"]`` what was drawn.

    Raises
    ------
    OptionError
        If an option has a value that makes no sense.
    MissingExtraError
        If `mujoco` or `myo-sim` is not installed.
    """
    chosen = _check(n_known, n_new, n_repetition, n_repetition_new, movements, speed, reach, emg)
    asked = [seed, n_known, n_new, n_repetition, n_repetition_new, chosen, speed, reach, emg, setting.model_dump()]
    file = None if cache is None else Path(cache) / f"arm-{_hash([VERSION, *asked])}.npz"
    if file is not None and file.exists():
        return read_arm(file)
    people = [(i, True, n_repetition) for i in range(n_known)] + [(i, False, n_repetition_new) for i in range(n_new)]
    jobs = [_Job(seed, *who, chosen, speed, reach, emg, setting) for who in people]
    if n_workers == 1:
        done = [_simulate_person(job) for job in jobs]
    else:
        with ProcessPoolExecutor(n_workers, mp_context=get_context("spawn")) as pool:
            done = list(pool.map(_simulate_person, jobs))
    study = Study([recording for person in done for recording in person], name="arm")
    if file is not None:
        write_arm(study, file)
    return study


def draw_person(seed: int, index: int, known: bool, setting: ArmSetting = ARM, *, with_emg: bool = True) -> Person:
    """The same person whatever the others are."""
    body, habit, below = (np.random.default_rng(_stream(seed, known, index, k)) for k in range(3))
    height = float(np.clip(1.73 + 0.09 * body.standard_normal(), 1.5, 1.98))
    mass = float(np.clip(23.5 + 2.2 * body.standard_normal(), 18.5, 30)) * height**2
    n_muscle, n_movement = len(MUSCLES), len(MOVEMENTS)
    proportion = float(np.exp(0.025 * body.standard_normal()))
    strength = setting.strength * np.exp(
        setting.strength_spread * body.standard_normal() + setting.muscle_spread * body.standard_normal(n_muscle)
    )
    delay = float(body.uniform(*setting.delay_s))
    share = body.uniform(*setting.cocontraction) * np.exp(setting.cocontraction_muscle * body.standard_normal(n_muscle))
    tone = body.uniform(*setting.tone, n_muscle)
    factors = np.exp(setting.cocontraction_movement * body.standard_normal(n_movement))
    resistance = float(np.exp(0.1 * body.standard_normal()))
    effort = body.uniform(*setting.effort, len(MEASURED))
    return Person(
        name=f"{'known' if known else 'new'} {index + 1}",
        known=known,
        height_m=height,
        mass_kg=mass,
        proportion=proportion,
        strength=strength,
        delay_s=delay,
        cocontraction=share,
        of_movement=dict(zip((m.name for m in MOVEMENTS), factors.tolist())),
        tone=tone,
        resistance=resistance,
        habit=draw_habit(habit),
        electrodes=arm_emg.place_electrodes(effort, setting.crosstalk, below) if with_emg else None,
    )


def true_activation(
    trials: Sequence[Trial], person: Person, arm: MujocoModel, setting: ArmSetting
) -> tuple[list[Float[np.ndarray, "_time muscle"]], list[Float[np.ndarray, "_time marker axis"]]]:
    """The activity of all muscles of the model in each trial, and where its markers are (m).

    All frames of all trials are solved in one call: static optimisation, and again with each muscle drawn towards a share
    of its antagonists' activity, at the same moments.
    """
    moved = [[trial.motion(trial.time, order) for trial in trials] for order in range(3)]
    geometry = arm_body.study_motion(arm, *map(np.concatenate, moved))
    ends = np.cumsum([len(v) for v in moved[0]])[:-1]
    moments = np.concatenate([_moments(t, person, part) for t, part in zip(trials, _split(geometry, ends))])
    problem = MuscleProblem(
        muscles=MUSCLES,
        coordinates=BALANCED,
        time=np.arange(len(moments)) / RATE_HZ,
        torques=moments,
        moment_arms=geometry.arms,
        active_force=geometry.active_force * person.strength,
        reserves=np.full(len(BALANCED), MUSCLE_RESERVE),
    )
    plain = solve_static_optimization(problem).activations
    quick = np.sqrt(np.mean(np.concatenate(moved[1])[:, :4] ** 2, axis=1)) / FAST_RAD_S
    level = np.concatenate(
        [np.full(len(v), t.cocontraction * person.of_movement[t.movement.name]) for t, v in zip(trials, moved[0])]
    )
    meant = meant_activity(plain.values, geometry.arms, person, level * (1 + setting.with_speed * quick))
    solved = solve_static_optimization(problem, tracking=plain.copy(data=meant), tracking_weight=TRACKING).activations
    activity = [_delayed(a, person.delay_s, setting.rise_s) for a in np.split(solved.values, ends)]
    return activity, np.split(geometry.markers, ends)


def meant_activity(
    plain: Float[np.ndarray, "time muscle"],
    arms: Float[np.ndarray, "time joint muscle"],
    person: Person,
    level: Float[np.ndarray, " time"],
) -> Float[np.ndarray, "time muscle"]:
    """With a share of what the antagonists do, and a tone; an antagonist is who has the opposite moment arms here and now."""
    directions = arms / np.linalg.norm(arms, axis=1, keepdims=True)
    against = np.maximum(-np.einsum("tji,tjk->tik", directions, directions), 0)
    added = person.cocontraction * np.einsum("tik,tk->ti", against, plain) + person.tone
    return np.clip(plain + level[:, None] * added, 0, 1)


# -- inside ----------------------------------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class _Job:
    seed: int
    index: int
    known: bool
    n_repetition: int
    movements: tuple[str, ...]
    speed: float
    reach: float
    emg: str
    setting: ArmSetting


def _stream(seed: int, known: bool, *place: int) -> np.random.SeedSequence:
    """Random numbers by name, so that nothing depends on how many others there are."""
    return np.random.SeedSequence(seed, spawn_key=(int(known), *place))


def _simulate_person(job: _Job) -> list[Recording]:
    person = draw_person(job.seed, job.index, job.known, job.setting, with_emg=job.emg != "none")
    arm = arm_body.load_arm(person.mass_kg, person.height_m * person.proportion)
    recordings = []
    for repetition in range(job.n_repetition):  # a call for each, so that its bits do not hang on how many there are
        trials, streams = [], []
        for k, movement in enumerate(MOVEMENTS):
            if movement.name in job.movements:
                place = _stream(job.seed, job.known, job.index, 3, k, repetition).spawn(3)
                trials.append(_draw_trial(movement, repetition, person, job, *map(np.random.default_rng, place[:2])))
                streams.append(np.random.default_rng(place[2]))
        found = true_activation(trials, person, arm, job.setting)
        recordings += [_record(*one, person, job.emg) for one in zip(trials, *found, streams)]
    return recordings


def _draw_trial(
    movement: Movement,
    repetition: int,
    person: Person,
    job: _Job,
    of_motion: np.random.Generator,
    of_load: np.random.Generator,
) -> Trial:
    low, high = movement.load_kg
    load = low + (high - low) * (0.5 + job.setting.load_spread * (of_load.beta(4, 4) - 0.5))
    factors = np.exp(of_load.standard_normal(2) * (job.setting.cocontraction_trial, job.setting.resistance_trial))
    motion = draw_motion(movement, person.habit, job.speed, job.reach, of_motion)
    return Trial(movement, repetition, motion, float(load), *map(float, factors))


def _split(geometry: Geometry, ends: np.ndarray) -> list[Geometry]:
    fields = [np.split(getattr(geometry, f.name), ends) for f in dataclasses.fields(geometry)]
    return [Geometry(*parts) for parts in zip(*fields)]


def _moments(trial: Trial, person: Person, geometry: Geometry) -> Float[np.ndarray, "time joint"]:
    """With what the hand carries and what it moves against."""
    hand = geometry.markers[:, list(MARKERS).index("hand")]
    force = trial.load_kg * (arm_body.GRAVITY - CubicSpline(trial.time, hand)(trial.time, 2))
    force[:, 0] += (
        trial.movement.resistance_n * person.resistance * trial.resistance * trial.motion.pressing(trial.time)
    )
    return geometry.moments + arm_body.load_moments(geometry, force)


def _delayed(activity: np.ndarray, delay_s: float, rise_s: float) -> np.ndarray:
    """Smoothed, and `delay_s` earlier; at the end the arm is at rest, and stays so."""
    smooth = gaussian_filter1d(activity, rise_s * RATE_HZ, axis=0, mode="nearest")
    frames = np.arange(len(smooth))
    later = np.minimum(frames + delay_s * RATE_HZ, frames[-1])
    return np.clip(CubicSpline(frames, smooth)(later), 0, 1)


def _record(
    trial: Trial, activity: np.ndarray, markers: np.ndarray, rng: np.random.Generator, person: Person, emg: str
) -> Recording:
    activation = np.stack(
        [activity[:, [MUSCLES.index(m) for m in below]].mean(axis=1) for below, _ in MEASURED.values()], axis=1
    )
    signals = {
        "angles": _signal(np.degrees(trial.motion(trial.time)), {"joint": JOINTS}, "deg"),
        "markers": _signal(1e3 * markers, {"marker": list(MARKERS), "axis": ["x", "y", "z"]}, "mm"),
        "activation": _of_muscles(activation, "1"),
    }
    if person.electrodes is not None:
        raw = arm_emg.raw_emg(activation, person.electrodes, rng)
        if emg == "raw":
            signals["emg"] = _of_muscles(raw, "V", arm_emg.RAW_HZ).assign_attrs(stage="raw")
        else:
            share = arm_emg.emg_envelope(raw) / person.electrodes.maximum
            signals["emg"] = _of_muscles(share, "1").assign_attrs(stage="envelope")
    return Recording(
        signals,
        subject=person.name,
        movement=trial.movement.name,
        repetition=str(trial.repetition + 1),
        source=Source(reader="simulate_arm"),
        info={"body": _body(person, markers[0]), "truth": _truth(trial, person)},
    )


def _signal(values: np.ndarray, labels: dict[str, Sequence[str]], units: str, rate_hz: float = RATE_HZ) -> xr.DataArray:
    # Rounded as the cache keeps it, so that what is read is what was simulated.
    values = values.astype(np.float32).astype(np.float64)
    return make_signal(values, ("time", *labels), labels, units=units, rate_hz=rate_hz)


def _of_muscles(values: np.ndarray, units: str, rate_hz: float = RATE_HZ) -> xr.DataArray:
    names = [name for _, name in MEASURED.values()]
    about = {"name": ("muscle", names), "side": ("muscle", ["right"] * len(names))}
    return _signal(values, {"muscle": list(MEASURED)}, units, rate_hz).assign_coords(about)


def _body(person: Person, markers: np.ndarray) -> dict[str, float]:
    place = dict(zip(MARKERS, markers))
    ends = {"upper_arm_m": ("shoulder", "elbow"), "forearm_m": ("elbow", "wrist"), "hand_m": ("wrist", "hand")}
    lengths = {name: float(np.linalg.norm(place[a] - place[b])) for name, (a, b) in ends.items()}
    return {"height_m": person.height_m, "mass_kg": person.mass_kg, **lengths}


def _truth(trial: Trial, person: Person) -> dict[str, Any]:
    return {
        "known": person.known,
        "kind": trial.movement.kind,
        "load_kg": trial.load_kg,
        "delay_s": person.delay_s,
        "cocontraction": float(
            person.cocontraction.mean() * person.of_movement[trial.movement.name] * trial.cocontraction
        ),
        "resistance_n": trial.movement.resistance_n * person.resistance * trial.resistance,
    }


def _hash(asked: list[Any]) -> str:
    return hashlib.sha256(json.dumps(asked, sort_keys=True).encode()).hexdigest()[:16]


def _check(
    n_known: int,
    n_new: int,
    n_repetition: int,
    n_repetition_new: int,
    movements: Any,
    speed: float,
    reach: float,
    emg: str,
) -> tuple[str, ...]:
    names = [m.name for m in MOVEMENTS]
    chosen = names if movements is None else [movements] if isinstance(movements, str) else list(movements)
    unknown = [m for m in chosen if m not in names]
    if unknown or not chosen:
        raise OptionError(
            f"there is no movement '{unknown[0]}'." if unknown else "no movement is asked for.",
            where="movements",
            remedy=f"There are: {', '.join(names)}.",
        )
    if min(n_known, n_new) < 0 or n_known + n_new < 1 or min(n_repetition, n_repetition_new) < 1:
        raise OptionError(
            f"{n_known} known and {n_new} new people with {n_repetition} and {n_repetition_new} repetitions cannot be "
            "simulated.",
            remedy="At least one person, and one repetition.",
        )
    for name, value in (("speed", speed), ("reach", reach)):
        if not 0.25 <= value <= 4:
            raise OptionError(f"is {value:g}; it must lie between 0.25 and 4.", where=name)
    if emg not in ("envelope", "raw", "none"):
        raise OptionError(f"is '{emg}'.", where="emg", remedy="It can be 'envelope', 'raw' or 'none'.")
    return tuple(chosen)
