"""`myodrive train` and `myodrive predict`: from recordings of movement and EMG to a model, and from movement to activity."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner, Result

from moving_people import MUSCLES, moving_people
from myodrive.cli import app
from myodrive.evaluation import demo
from myodrive.evaluation.motion import comparison, experiments, plans
from myodrive.io import read, write
from myodrive.recording import Recording, Study

run = CliRunner()
QUICK = ["--set", "ridge-fir.reaches_s=[0.1]"]


def measured(study: Study) -> Study:
    """As a laboratory has it: movement and EMG, nothing of the activation."""
    return Study([r.replace(signals={n: r[n] for n in ("angles", "emg")}, info={}) for r in study], study.name)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study.toml with two files of each recording: EMG as .csv, angles as .sto; and a new movement without EMG."""
    folder = tmp_path_factory.mktemp("arm")
    lines = ['[study]\nname = "arm"\nalready = "envelope"\nunits = "1"\n']
    for k, r in enumerate(measured(moving_people(2, 2, 2))):
        write(r, folder / f"emg{k}.csv", signal="emg")
        write(r, folder / f"angles{k}.sto", signal="angles")
        lines.append(f'[[recording]]\nfile = "emg{k}.csv"\nsubject = "{r.subject}"\nmovement = "{r.movement}"\n')
        lines.append(f'repetition = "{r.repetition}"\n[[recording.device]]\nfile = "angles{k}.sto"\noffset_s = 0\n')
    (folder / "study.toml").write_text("\n".join(lines), encoding="utf-8")
    write(moving_people(1, 1, 1, seed=1502)[0], folder / "new.sto", signal="angles")
    return folder


def train(*arguments: object) -> Result:
    return run.invoke(app, ["train", *map(str, arguments)])


def predict(*arguments: object) -> Result:
    return run.invoke(app, ["predict", *map(str, arguments)])


@pytest.fixture(scope="module")
def model(files: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("trained") / "model"
    told = train(files / "study.toml", "-m", "ridge-fir", "--folds", 0, "--out", out, *QUICK)
    assert told.exit_code == 0, (told.output, told.exception)
    return out


def test_a_study_gives_a_model_scores_of_all_splits_beside_references_and_a_report(files: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    told = train(files / "study.toml", "-m", "ridge-fir", "--folds", 2, "--out", out, *QUICK)
    assert told.exit_code == 0, (told.output, told.exception)
    assert {p.name for p in out.iterdir()} == {"model", "report.html", "scores.csv", "train.json"}
    content = json.loads((out / "train.json").read_text(encoding="utf-8"))
    found = {(row["condition"], row["method"]) for row in content["summary"]}
    splits = ("new repetition", "new movement", "new person")
    assert found == {(split, method) for split in splits for method in ("mean-curve", "ridge-fir")}
    page = (out / "report.html").read_text(encoding="utf-8")
    assert all(words in page for words in (*splits, *MUSCLES, "Held-out trials"))
    assert "http" not in page.replace("http://www.w3.org", "").replace("https://doi.org", "")
    assert not out.with_name("out.unfinished").exists()
    assert "Held against measured envelopes" in told.output


def test_a_model_estimates_what_has_no_emg_and_writes_it_in_the_formats_asked_for(
    model: Path, files: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    told = predict(model, files / "new.sto", "--format", "sto", "--format", "csv", "--out", out)
    assert told.exit_code == 0, (told.output, told.exception)
    names = {p.name for p in out.iterdir()}
    assert names == {"new.ridge-fir.nc", "new.ridge-fir.sto", "new.ridge-fir.csv", "predict.json", "report.html"}
    activation = read(out / "new.ridge-fir.nc")["activation"]
    assert [str(m) for m in activation.muscle.values] == list(MUSCLES) and np.isfinite(activation).all()
    again = predict(model / "model", files / "new.sto", "--out", out)  # the folder in it, and results replaced
    assert again.exit_code == 0, again.output


def wrong_inputs(folder: Path) -> dict[str, Recording]:
    right = measured(moving_people(1, 1, 1, seed=1502))[0]
    angles = right["angles"]
    other = {
        "joints": angles.assign_coords(joint=["shoulder", "wrist"]),
        "units": angles.assign_attrs(units="furlong"),
        "rate": angles.isel(time=slice(None, None, 8)),
    }
    return {name: Recording({"angles": signal}, subject=name) for name, signal in other.items()}


@pytest.mark.parametrize(("fault", "words"), [("joints", "elbow"), ("units", "deg or rad"), ("rate", "12.5 Hz")])
def test_a_movement_that_does_not_match_the_training_is_refused_in_a_sentence(
    model: Path, tmp_path: Path, fault: str, words: str
) -> None:
    file = write(wrong_inputs(tmp_path)[fault], tmp_path / f"{fault}.nc")
    told = predict(model, file, "--out", tmp_path / "out")
    assert told.exit_code != 0 and told.exception is not None
    assert words in str(told.exception)
    assert not (tmp_path / "out").exists()


def test_one_bad_file_among_good_ones_is_left_out_and_named(model: Path, files: Path, tmp_path: Path) -> None:
    bad = write(wrong_inputs(tmp_path)["joints"], tmp_path / "bad.nc")
    told = predict(model, files / "new.sto", bad, "--out", tmp_path / "out")
    assert told.exit_code == 1
    assert (tmp_path / "out" / "new.ridge-fir.nc").exists()
    report = (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    assert "Left out: " in report and "elbow" in report


def test_wrong_options_are_refused_before_anything_is_computed(files: Path, model: Path, tmp_path: Path) -> None:
    study = files / "study.toml"
    faults = {
        "no method 'lsmt'": train(study, "-m", "lsmt"),
        "nothing is trained for 'emg'": train(study, "--route", "emg"),
        "1 folds hold nothing out": train(study, "--folds", 1, "-m", "ridge-fir"),
        "n_unitt": train(study, "--set", "lstm.n_unitt=3"),
        "holds no model that `myodrive train` saved": predict(files, files / "new.sto"),
        "there is no format 'xls'": predict(model, files / "new.sto", "--format", "xls"),
        "no experiment 'speed'": run.invoke(app, ["experiment", "speed"]),
        "the experiment inputs does not take it": run.invoke(app, ["experiment", "inputs", str(study), "--unseen"]),
        "both EMG and a movement": train(files / "emg0.csv", "-m", "ridge-fir"),
        "something other than earlier results": train(study, "-m", "ridge-fir", "--out", files),
    }
    for words, told in faults.items():
        assert told.exit_code != 0 and words in str(told.exception), (words, told.output, told.exception)


def test_a_training_that_is_stopped_goes_on_where_it_was(
    files: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    arguments = (files / "study.toml", "-m", "mean-curve", "--folds", 2, "--out", out, *QUICK)
    whole = comparison.safe_write_text
    written: list[str] = []

    def stop_at_third(path: Path, text: str) -> Path:
        if len(written) == 2:
            raise KeyboardInterrupt
        written.append(path.name)
        return whole(path, text)

    monkeypatch.setattr(comparison, "safe_write_text", stop_at_third)
    told = train(*arguments)
    assert told.exit_code == 130 and not out.exists()
    kept = {p.name for p in out.with_name("out.unfinished").glob("*.json")}
    assert kept == set(written) and len(kept) == 2
    monkeypatch.setattr(
        comparison, "safe_write_text", lambda path, text: written.append(path.name) or whole(path, text)
    )
    told = train(*arguments)
    assert told.exit_code == 0, (told.output, told.exception)
    assert len(written) == len(set(written))  # nothing was computed twice


def test_an_experiment_runs_on_a_study_and_on_simulated_people(
    files: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = run.invoke(
        app,
        ["experiment", "unseen-movement", str(files / "study.toml"), "-m", "mean-curve,ridge-fir", *QUICK,
         "--set", "unseen-movement.n_folds=2", "--out", str(tmp_path / "own"), "--json", str(tmp_path / "own.json")],
    )  # fmt: skip
    assert told.exit_code == 0, (told.output, told.exception)
    assert "R² of new repetition against unseen movement: " in told.output and "ridge-fir +" in told.output
    assert {p.name for p in (tmp_path / "own").iterdir()} == {"report.html", "scores.csv", "result.json"}
    assert json.loads((tmp_path / "own.json").read_text(encoding="utf-8"))["experiment"] == "unseen-movement"

    people = moving_people(3, 4, 3)
    monkeypatch.setattr(experiments, "_simulated", lambda seed, several, folder: people)
    arguments = ["-m", "mean-curve", "--set", "new-person.seconds=[0,2]", "--out", str(tmp_path / "simulated")]
    told = run.invoke(app, ["experiment", "new-person", *arguments])
    assert told.exit_code == 0, (told.output, told.exception)
    assert "On simulated arms" in told.output and "general + 2 s" in told.output


def test_all_experiments_run_one_after_the_other_and_what_a_study_does_not_allow_is_named(
    files: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("myodrive.evaluation.experiments.experiments", dict)  # those take minutes
    for name in ("unseen-movement", "segmentation", "new-person"):
        monkeypatch.delitem(plans.PLANS, name)
    monkeypatch.setattr(experiments, "METHODS", ("mean-curve",))
    arguments = [str(files / "study.toml"), "--out", str(tmp_path / "all"), "--json", str(tmp_path / "all.json")]
    told = run.invoke(app, ["experiment", "all", *arguments, *QUICK])
    assert told.exit_code == 0, (told.output, told.exception)
    assert set(json.loads((tmp_path / "all.json").read_text(encoding="utf-8"))) == {"inputs"}
    assert "diversity left out: " in told.output and "running left out: " in told.output
    assert (tmp_path / "all" / "experiment-inputs" / "report.html").exists()


def test_the_demo_of_movement_needs_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    small = moving_people(2, 2, 2)
    monkeypatch.setattr(demo, "write_demo_movements", lambda path: write(small, path))
    monkeypatch.setattr(demo, "DEMO_TRAINING", {"method": "mean-curve", "n_folds": 0})
    out = tmp_path / "demo"
    told = run.invoke(app, ["demo", "--route", "motion", "--out", str(out)])
    assert told.exit_code == 0, (told.output, told.exception)
    assert (out / "model" / "estimator.json").exists() and "report: " in told.output
