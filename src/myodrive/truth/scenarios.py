"""The named settings of simulated recordings. They are frozen: estimators are judged on them, never tuned to them.

Each was fixed, with seeds from 1000 up, before any learned estimator was scored; the bench uses the seeds 0 to 9.
`docs/truth.md` says what each is made of and why.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from myodrive.errors import OptionError
from myodrive.truth.electrodes import Disturbance, Electrode
from myodrive.truth.motor_units import MotorUnitPool


class SimulatedMuscle(BaseModel):
    """A muscle of a scenario: how its channel is labelled, when it works, and which joints it turns."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    label: str
    name: str
    side: Literal["left", "right", ""]
    phase: float  # of its strongest activity: fraction of the stride, or of a turn of the movement's direction
    pulls: dict[str, float]  # joint: degrees that a steady full activation would turn it


class Scenario(BaseModel):
    """Everything about a simulated recording but its seed, size and signal-to-noise ratio."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    drive: Literal["gait", "reach", "steps", "smooth"]
    muscles: tuple[SimulatedMuscle, ...]
    peak_activation: tuple[float, float]  # the largest in the recording, drawn per muscle between these
    pool: MotorUnitPool = MotorUnitPool()
    electrode: Electrode = Electrode()
    disturbance: Disturbance = Disturbance()
    oscillation_hz: Annotated[float, Field(gt=0)] | None = None  # of all drives together
    oscillation_depth: Annotated[float, Field(ge=0, le=0.5)] = 0.0  # of the drive's own level


def _muscles(rows: Sequence[tuple[str, str, str, float, dict[str, float]]]) -> tuple[SimulatedMuscle, ...]:
    return tuple(SimulatedMuscle(label=a, name=b, side=c, phase=d, pulls=e) for a, b, c, d, e in rows)  # type: ignore[arg-type]


def _leg(side: Literal["left", "right"]) -> tuple[SimulatedMuscle, ...]:
    """Phases of the stride, from the heel strike of the same leg: Winter, Biomechanics and Motor Control, ch. 10."""
    letter, shift = side[0], 0.0 if side == "right" else 0.5
    hip, knee, ankle = f"hip_flexion_{letter}", f"knee_flexion_{letter}", f"ankle_flexion_{letter}"
    rows = [
        ("TA", "tibialis anterior", 0.95, {ankle: 40.0}),
        ("SOL", "soleus", 0.42, {ankle: -45.0}),
        ("MG", "gastrocnemius medialis", 0.38, {ankle: -25.0, knee: 25.0}),
        ("VL", "vastus lateralis", 0.07, {knee: -50.0}),
        ("RF", "rectus femoris", 0.62, {knee: -20.0, hip: 35.0}),
        ("BF", "biceps femoris", 0.90, {knee: 60.0, hip: -20.0}),
        ("GMED", "gluteus medius", 0.12, {hip: -10.0}),
        ("GMAX", "gluteus maximus", 0.03, {hip: -40.0}),
    ]
    return _muscles([(f"{letter.upper()} {a}", b, side, (c + shift) % 1.0, d) for a, b, c, d in rows])


ARM = _muscles(
    [
        ("R DELT ANT", "anterior deltoid", "right", 0.25, {"shoulder_elevation_r": 70.0}),
        ("R DELT MED", "middle deltoid", "right", 0.10, {"shoulder_elevation_r": 60.0}),
        ("R DELT POST", "posterior deltoid", "right", 0.90, {"shoulder_rotation_r": -50.0}),
        ("R PEC MAJ", "pectoralis major", "right", 0.45, {"shoulder_rotation_r": 60.0}),
        ("R BIC", "biceps brachii", "right", 0.55, {"elbow_flexion_r": 80.0, "shoulder_elevation_r": 15.0}),
        ("R TRI LAT", "triceps brachii caput laterale", "right", 0.05, {"elbow_flexion_r": -70.0}),
        ("R TRI LONG", "triceps brachii caput longum", "right", 0.82, {"elbow_flexion_r": -60.0}),
        ("R BRD", "brachioradialis", "right", 0.68, {"elbow_flexion_r": 50.0}),
        ("R TRAP UP", "upper trapezius", "right", 0.15, {"shoulder_elevation_r": 20.0}),
        ("R LAT", "latissimus dorsi", "right", 0.75, {"shoulder_elevation_r": -50.0}),
        ("R INFRA", "infraspinatus", "right", 0.85, {"shoulder_rotation_r": -30.0}),
        ("R TERES MAJ", "teres major", "right", 0.70, {"shoulder_elevation_r": -30.0}),
        ("R BRACH", "brachialis", "right", 0.50, {"elbow_flexion_r": 60.0}),
        ("R TRI MED", "triceps brachii caput mediale", "right", 0.02, {"elbow_flexion_r": -40.0}),
        ("R SERRATUS ANT", "serratus anterior", "right", 0.30, {"shoulder_elevation_r": 15.0}),
        ("R TRAP LOW", "lower trapezius", "right", 0.20, {"shoulder_elevation_r": 10.0}),
    ]
)

FOREARM = _muscles(
    [
        ("R FCR", "flexor carpi radialis", "right", 0.08, {"wrist_flexion_r": 12.0, "wrist_deviation_r": 6.0}),
        ("R FCU", "flexor carpi ulnaris", "right", 0.92, {"wrist_flexion_r": 12.0, "wrist_deviation_r": -8.0}),
        ("R ECR", "extensor carpi radialis", "right", 0.40, {"wrist_flexion_r": -10.0, "wrist_deviation_r": 8.0}),
        ("R ECU", "extensor carpi ulnaris", "right", 0.60, {"wrist_flexion_r": -10.0, "wrist_deviation_r": -8.0}),
        ("R FDS", "flexor digitorum superficialis", "right", 0.0, {"wrist_flexion_r": 8.0}),
        ("R EDC", "extensor digitorum", "right", 0.50, {"wrist_flexion_r": -8.0}),
        ("R BRD", "brachioradialis", "right", 0.25, {"wrist_deviation_r": 4.0}),
        ("R PT", "pronator teres", "right", 0.75, {"forearm_pronation_r": 10.0}),
        ("L FCR", "flexor carpi radialis", "left", 0.58, {"wrist_flexion_l": 12.0, "wrist_deviation_l": 6.0}),
        ("L FCU", "flexor carpi ulnaris", "left", 0.42, {"wrist_flexion_l": 12.0, "wrist_deviation_l": -8.0}),
        ("L ECR", "extensor carpi radialis", "left", 0.90, {"wrist_flexion_l": -10.0, "wrist_deviation_l": 8.0}),
        ("L ECU", "extensor carpi ulnaris", "left", 0.10, {"wrist_flexion_l": -10.0, "wrist_deviation_l": -8.0}),
        ("L FDS", "flexor digitorum superficialis", "left", 0.55, {"wrist_flexion_l": 8.0}),
        ("L EDC", "extensor digitorum", "left", 0.05, {"wrist_flexion_l": -8.0}),
        ("L BRD", "brachioradialis", "left", 0.75, {"wrist_deviation_l": 4.0}),
        ("L PT", "pronator teres", "left", 0.25, {"forearm_pronation_l": 10.0}),
    ]
)

LEGS = _leg("right") + _leg("left")

SCENARIOS = {
    scenario.name: scenario
    for scenario in (
        Scenario(
            name="reference",
            drive="smooth",
            muscles=ARM,
            peak_activation=(0.5, 0.9),
            # A narrow range of sizes: with it the floors come out where they were measured before (docs/truth.md).
            pool=MotorUnitPool(amplitude_range=3.0),
        ),
        Scenario(
            name="gait",
            drive="gait",
            muscles=LEGS,
            peak_activation=(0.2, 0.6),
            disturbance=Disturbance(crosstalk=0.08, mains=0.03, motion=0.5),
        ),
        Scenario(
            name="gait-noisy",
            drive="gait",
            muscles=LEGS,
            peak_activation=(0.1, 0.4),
            disturbance=Disturbance(crosstalk=0.15, mains=0.2, motion=3.0, bursts_per_minute=10.0, burst=1.5),
        ),
        Scenario(
            name="reach",
            drive="reach",
            muscles=ARM,
            peak_activation=(0.2, 0.6),
            disturbance=Disturbance(crosstalk=0.06, mains=0.03, motion=0.3),
        ),
        Scenario(
            name="isometric",
            drive="steps",
            muscles=FOREARM,
            peak_activation=(0.3, 0.8),
            disturbance=Disturbance(crosstalk=0.1, mains=0.05),
        ),
        Scenario(
            name="tremor",
            drive="steps",
            muscles=FOREARM,
            peak_activation=(0.3, 0.8),
            disturbance=Disturbance(crosstalk=0.1, mains=0.05),
            oscillation_hz=10.0,  # of enhanced physiological tremor
            oscillation_depth=0.3,
        ),
    )
}


def find_scenario(scenario: str | Scenario) -> Scenario:
    """The scenario of that name.

    Raises
    ------
    OptionError
        If there is none.
    """
    if isinstance(scenario, Scenario):
        return scenario
    if scenario not in SCENARIOS:
        raise OptionError(f"no scenario '{scenario}'. There are: {', '.join(SCENARIOS)}.")
    return SCENARIOS[scenario]
