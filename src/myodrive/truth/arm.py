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

from myodrive.errors import OptionError
from myodrive.recording import Recording, Source, Study, make_signal
from myodrive.truth import arm_body, arm_emg
from myodrive.truth.arm_activity import true_activation
from myodrive.truth.arm_body import JOINTS, MARKERS, MUSCLES
from myodrive.truth.arm_emg import MEASURED, RATE_HZ
from myodrive.truth.arm_file import read_arm, write_arm
from myodrive.truth.arm_movements import MOVEMENTS
from myodrive.truth.arm_people import ARM, ArmSetting, Person, Trial, draw_person, draw_trial, stream

VERSION = 1  # of the scenario; another is another file in the cache


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


def _simulate_person(job: _Job) -> list[Recording]:
    person = draw_person(job.seed, job.index, job.known, job.setting, with_emg=job.emg != "none")
    arm = arm_body.load_arm(person.mass_kg, person.height_m * person.proportion)
    recordings = []
    for repetition in range(job.n_repetition):  # a call for each, so that its bits do not hang on how many there are
        trials, streams = [], []
        for k, movement in enumerate(MOVEMENTS):
            if movement.name in job.movements:
                places = stream(job.seed, job.known, job.index, 3, k, repetition).spawn(3)
                *drawn, of_emg = map(np.random.default_rng, places)
                trials.append(draw_trial(movement, repetition, person, job.setting, (job.speed, job.reach), *drawn))
                streams.append(of_emg)
        found = true_activation(trials, person, arm, job.setting)
        recordings += [_record(*one, person, job.emg) for one in zip(trials, *found, streams)]
    return recordings


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
