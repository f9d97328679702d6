"""Who moves in the arm scenario, and what differs between people and between trials: all that is drawn, by name."""

from __future__ import annotations

import dataclasses

import numpy as np
from jaxtyping import Float
from pydantic import BaseModel, ConfigDict

from myodrive.truth import arm_emg
from myodrive.truth.arm_body import MUSCLES
from myodrive.truth.arm_movements import MOVEMENTS, Habit, Motion, Movement, draw_habit, draw_motion

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
        return np.arange(round(self.motion.duration_s * arm_emg.RATE_HZ) + 1) / arm_emg.RATE_HZ


def draw_person(seed: int, index: int, known: bool, setting: ArmSetting = ARM, *, with_emg: bool = True) -> Person:
    """The same person whatever the others are."""
    body, habit, below = (np.random.default_rng(stream(seed, known, index, k)) for k in range(3))
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
    effort = body.uniform(*setting.effort, len(arm_emg.MEASURED))
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


def draw_trial(
    movement: Movement,
    repetition: int,
    person: Person,
    setting: ArmSetting,
    pace: tuple[float, float],
    of_motion: np.random.Generator,
    of_load: np.random.Generator,
) -> Trial:
    """One repetition; `pace` is by how much it is faster, and wider, than usual."""
    low, high = movement.load_kg
    load = low + (high - low) * (0.5 + setting.load_spread * (of_load.beta(4, 4) - 0.5))
    factors = np.exp(of_load.standard_normal(2) * (setting.cocontraction_trial, setting.resistance_trial))
    motion = draw_motion(movement, person.habit, *pace, of_motion)
    return Trial(movement, repetition, motion, float(load), *map(float, factors))


def stream(seed: int, known: bool, *place: int) -> np.random.SeedSequence:
    """Random numbers by name, so that nothing depends on how many others there are."""
    return np.random.SeedSequence(seed, spawn_key=(int(known), *place))
