"""The plain estimators from movement: the mean curve of each movement, and the ridge over lagged features."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from myodrive.from_motion.mean_curve import MeanCurve
from myodrive.from_motion.ridge import RidgeFIR
from myodrive.recording import Recording, Study, make_events, make_signal

RATE = 100.0


def trial(
    subject: str = "A", movement: str = "flexion", repetition: int = 1, *, gain: float = 1.0, seconds: float = 2.0
) -> Recording:
    """An angle that goes up and down, and two muscles that lead it by 80 ms: one its position, one its slope."""
    rng = np.random.default_rng([repetition, *map(ord, subject + movement)])
    t = np.arange(0, seconds, 1 / RATE)
    size = {"flexion": 1.0, "lifting": 2.0}.get(movement, 1.5) + 0.1 * rng.normal()

    def angle(at: np.ndarray) -> np.ndarray:
        return 60 * size * np.sin(np.pi * at / seconds) ** 2

    slope = (angle(t + 0.09) - angle(t + 0.07)) / 0.02
    drive = np.stack([0.3 + angle(t + 0.08) / 60, 3 + slope / 60], axis=1) * gain
    angles = make_signal(angle(t)[:, None], ("time", "joint"), {"joint": ["elbow"]}, units="deg", rate_hz=RATE)
    emg = make_signal(
        drive, ("time", "muscle"), {"muscle": ["biceps", "triceps"]}, units="V", rate_hz=RATE, stage="envelope"
    )
    return Recording({"angles": angles, "emg": emg}, subject=subject, movement=movement, repetition=str(repetition))


def study(subjects: str = "A", movements: tuple[str, ...] = ("flexion", "lifting"), n: int = 3) -> Study:
    return Study([trial(s, m, k) for s in subjects for m in movements for k in range(n)])


def r2(model: MeanCurve | RidgeFIR, data: Study) -> float:
    estimate = np.concatenate([a.activation.values for a in model.estimate(data)])
    measured = np.concatenate([m.values for m in model.measured(data)])
    return float(1 - np.mean((estimate - measured) ** 2) / np.var(measured))


def test_the_mean_curve_of_a_known_movement_is_stretched_to_the_length_of_the_trial() -> None:
    model = MeanCurve().fit(study())
    slow = trial("A", "flexion", 9, seconds=3.0)
    estimate = model.estimate(slow).activation.values[:, 0]
    assert abs(int(np.argmax(estimate)) / estimate.size - 0.5) < 0.05
    assert abs(estimate.max() - model.measured(slow).values[:, 0].max()) < 0.3 * estimate.max()


def test_a_movement_that_nobody_did_gets_a_constant() -> None:
    model = MeanCurve().fit(study())
    estimate = model.estimate(trial("A", "throwing")).activation.values
    assert np.ptp(estimate, axis=0).max() < 1e-12
    mean = np.mean([m.values.mean(axis=0) for m in model.measured(study())], axis=0)
    assert np.allclose(estimate[0], mean, rtol=0.02)


def test_a_new_person_gets_the_mean_of_the_other_peoples_mean_curves() -> None:
    many, one = study("A", n=6), study("B", n=1)
    model = MeanCurve().fit(Study([*many, *one]))
    alone = [MeanCurve().fit(s).estimate(trial("C")).activation.values for s in (many, one)]
    assert np.allclose(model.estimate(trial("C")).activation.values, np.mean(alone, axis=0))


def test_events_cut_a_recording_into_cycles() -> None:
    whole = trial(seconds=2.0)
    twice = Recording(
        dict(trial(seconds=2.0).signals),
        events=make_events([(0.5, "strike", "right"), (1.5, "strike", "right")]),
        movement="flexion", subject="A",
    )  # fmt: skip
    model = MeanCurve().fit(twice)
    assert model.lengths_.tolist() == [100.0]
    assert np.isfinite(model.estimate(twice).activation.values).all()
    assert model.estimate(whole).activation.values.shape == (200, 2)


def test_the_ridge_finds_a_lead_and_a_derivative() -> None:
    model = RidgeFIR(reaches_s=(0.04, 0.2)).fit(study(n=6))
    assert r2(model, Study([trial("A", m, 20) for m in ("flexion", "lifting")])) > 0.98
    assert model.reach_s_ == 0.2 or model.derivatives_ > 0


def test_the_interval_of_the_ridge_holds_about_its_level() -> None:
    rng = np.random.default_rng(0)
    recordings = []
    for recording in study(n=12):
        emg = recording["emg"]
        noise = rng.gamma(20.0, 1 / 20.0, (20, 2))[np.repeat(np.arange(20), 10)]
        recordings.append(recording.with_signal("emg", emg * noise))
    train, test = Study(recordings[::2]), Study(recordings[1::2])
    model = RidgeFIR(reaches_s=(0.12,), interval_level=0.8).fit(train)
    inside = []
    for activation, measured in zip(model.estimate(test), model.measured(test)):
        low, high = activation.dataset["lower"].values, activation.dataset["upper"].values
        inside.append((measured.values >= low) & (measured.values <= high))
    assert 0.72 < np.mean(np.concatenate(inside)) < 0.88


def test_a_muscle_that_one_person_lacks_is_learned_from_the_others() -> None:
    recordings = [
        r if r.subject != "B" else r.with_signal("emg", r["emg"].where(r["emg"].muscle != "triceps"))
        for r in study("ABC")
    ]
    model = RidgeFIR(reaches_s=(0.12,)).fit(Study(recordings))
    assert np.isfinite(model.estimate(trial("B")).activation.values).all()


@pytest.mark.parametrize("choose_on", ["group", "repetition", "movement"])
def test_what_the_ridge_is_chosen_on_may_be_named(choose_on: str) -> None:
    movements = ("flexion", "lifting", "pushing")
    model = RidgeFIR(reaches_s=(0.12,), choose_on=choose_on).fit(study("AB", movements))
    assert r2(model, study("AB", movements)) > 0.9


@pytest.mark.parametrize("model", [MeanCurve(), RidgeFIR(reaches_s=(0.12, 0.2))])
def test_a_saved_model_estimates_the_same(model: MeanCurve | RidgeFIR, tmp_path: Path) -> None:
    model.fit(study("AB"))
    loaded = type(model).load(model.save(tmp_path / "model"))
    for data in (trial("A"), trial("C", "throwing")):
        assert np.array_equal(model.estimate(data).activation.values, loaded.estimate(data).activation.values)


def test_a_feature_that_stood_still_in_training_tells_nothing_later() -> None:
    """Its smoothed values and derivatives vary by rounding errors; taken for a unit of spread they would be everything."""

    def with_wrist(recording: Recording, angle: np.ndarray) -> Recording:
        elbow = recording["angles"].values[:, 0]
        values = np.stack([elbow, angle[: elbow.size]], axis=1)
        joints = {"joint": ["elbow", "wrist"]}
        return recording.with_signal(
            "angles", make_signal(values, ("time", "joint"), joints, units="deg", rate_hz=RATE)
        )

    still, moving = np.full(200, 0.1), np.linspace(0, 30, 200)
    model = RidgeFIR(reaches_s=(0.12,)).fit(Study([with_wrist(r, still) for r in study()]))
    new = trial("A", "flexion", 9)
    told = [model.estimate(with_wrist(new, angle)).activation.values for angle in (still, moving)]
    assert np.allclose(*told, atol=1e-9)
