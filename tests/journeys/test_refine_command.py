"""`myodrive refine` and its experiments: from files of EMG and of a simulation to refined activity, scores and a report."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner, Result

from myodrive.cli import app
from myodrive.evaluation import demo
from myodrive.evaluation.refinement import job
from myodrive.io import read, write
from myodrive.truth import simulate_trials

run = CliRunner()
N_TRIAL = 4
PLAIN = ["--set", 'refined.candidates=["gain-offset","gain-lag"]', "--set", "refined.n_folds=3"]


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Trials of one person: EMG as .csv, simulated activity as .sto; of the last the .sto alone, and a study.toml."""
    folder = tmp_path_factory.mktemp("leg")
    lines = ['[study]\nsubject = "S1"\n']
    for k, trial in enumerate(simulate_trials(1600, N_TRIAL, duration_s=3.0)):
        write(trial, folder / f"so{k}.sto", signal="simulated")
        if k == N_TRIAL - 1:
            lines.append(f'[[recording]]\nfile = "so{k}.sto"\nrepetition = "{k}"\n')
            continue
        write(trial, folder / f"emg{k}.csv", signal="emg")
        lines.append(f'[[recording]]\nfile = "emg{k}.csv"\nrepetition = "{k}"\nalready = "envelope"\n')
        lines.append(f'[[recording.device]]\nfile = "so{k}.sto"\noffset_s = 0\n')
    (folder / "study.toml").write_text("\n".join(lines), encoding="utf-8")
    return folder


def refine(*arguments: object) -> Result:
    return run.invoke(app, ["refine", *map(str, arguments)])


def test_a_study_gives_activations_the_choices_scores_a_report_and_a_model_that_can_be_used_again(
    files: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    told = refine(files / "study.toml", "--out", out, "--format", "sto", "--folds", 3, *PLAIN)
    assert told.exit_code == 0, (told.output, told.exception)
    names = {p.name for p in out.iterdir()}
    assert {"report.html", "refine.json", "choices.csv", "scores.csv", "model"} <= names
    assert {
        f"{'emg' if k < 3 else 'so'}{k}.refined.{suffix}" for k in range(N_TRIAL) for suffix in ("nc", "sto")
    } <= names
    content = json.loads((out / "refine.json").read_text(encoding="utf-8"))
    scored = {row["method"] for row in content["summary"]}
    assert scored == {"simulated-as-is", "gain-offset", "gain-lag", "mean-curve", "refined"}
    assert all(row["chosen"] in scored and row["why"] for row in content["chosen"])
    error = {row["method"]: row["rmse"] for row in content["summary"] if row["muscle"] == "soleus_r"}
    assert error["refined"] < error["simulated-as-is"]
    page = (out / "report.html").read_text(encoding="utf-8")
    assert "What was chosen for each muscle" in page and "Correlation at zero lag" in page
    assert "http" not in page.replace("http://www.w3.org", "").replace("https://doi.org", "")
    assert not out.with_name("out.unfinished").exists()

    again = tmp_path / "again"
    told = refine(files / "so3.sto", "--model", out, "--out", again)
    assert told.exit_code == 0, (told.output, told.exception)
    first, second = (read(folder / "so3.refined.nc")["activation"].values for folder in (out, again))
    np.testing.assert_array_equal(first, second)
    assert np.isfinite(first).all()


def test_one_correction_can_be_taken_and_nothing_need_be_held_out(files: Path, tmp_path: Path) -> None:
    told = refine(files / "study.toml", "--out", tmp_path / "out", "--method", "gain-lag", "--folds", 0)
    assert told.exit_code == 0, (told.output, told.exception)
    assert (tmp_path / "out" / "emg0.gain-lag.nc").exists()
    assert "nothing is said of new data" in told.output


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Trials that tell how their muscles pull, under other names of the EMG, and the pairs in a study.toml."""
    folder = tmp_path_factory.mktemp("whole")
    lines = ["[pairs]"]
    for k, trial in enumerate(simulate_trials(1601, 2, duration_s=3.0)):
        names = [str(m) for m in trial["emg"].muscle.values]
        emg = trial["emg"].assign_coords(muscle=[f"Voltage {i}" for i in range(len(names))])
        write(trial.with_signal("emg", emg), folder / f"trial{k}.nc")
        lines += [f'"Voltage {i}" = "{name}"' for i, name in enumerate(names)] if k == 0 else []
        lines.append(f'[[recording]]\nfile = "trial{k}.nc"')
    (folder / "study.toml").write_text("\n".join(lines), encoding="utf-8")
    return folder


def test_pairs_come_from_the_study_and_torques_are_kept_within_a_bound(whole: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    told = refine(whole / "study.toml", "--out", out, "--method", "gain-lag", "--folds", 0, "--torque-bound", 0.08)
    assert told.exit_code == 0, (told.output, told.exception)
    rows = json.loads((out / "refine.json").read_text(encoding="utf-8"))["torques"]
    assert max(row["relative_error"] for row in rows) > 0.08 >= max(row["within_bound"] for row in rows)
    kept = read(out / "simulated 1601 cyclic 1.within_torques.nc")["activation"]
    assert kept.sizes["muscle"] == 9 and 0 <= float(kept.min()) <= float(kept.max()) <= 1
    assert "within the bound" in (out / "report.html").read_text(encoding="utf-8")


def test_pairs_and_a_bound_that_make_no_sense_are_refused(whole: Path, files: Path, tmp_path: Path) -> None:
    bound = refusal(refine(files / "study.toml", "--out", tmp_path / "out", "--torque-bound", 0.1))
    assert "--torque-bound: no recording tells how its muscles pull" in bound
    faulty = tmp_path / "study.toml"
    faulty.write_text('pairs = 3\n[[recording]]\nfile = "a.csv"\n', encoding="utf-8")
    assert "[pairs]: pairs = 3 is no list of simulated muscles" in refusal(refine(faulty))
    pairs = ["--pair", "Voltage 0=nothing"]
    assert "'Voltage 0=nothing' names a muscle that is not there" in refusal(refine(whole / "study.toml", *pairs))


def refusal(told: Result) -> str:
    assert told.exit_code != 0
    return " ".join(str(told.exception).split())


def test_what_cannot_be_refined_is_refused_in_one_sentence_and_leaves_nothing(files: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert "no recording holds both simulated activity and EMG" in refusal(refine(files / "so0.sto", "--out", out))
    assert "no method 'network'" in refusal(refine(files / "study.toml", "--out", out, "--method", "network"))
    assert "1 folds hold nothing out" in refusal(refine(files / "study.toml", "--out", out, "--folds", 1))
    assert "no method 'net'" in refusal(refine(files / "study.toml", "--out", out, "--set", "net.n_steps=5"))
    pair = refusal(refine(files / "study.toml", "--out", out, "--pair", "soleus_r=soleus"))
    assert "names a muscle that is not there. Measured: glmax_r" in pair and "Simulated: glmax_r" in pair
    assert "'soleus' is not MEASURED=SIMULATED" in refusal(refine(files / "study.toml", "--pair", "soleus"))
    assert "holds no model that `myodrive refine` saved" in refusal(
        refine(files / "so0.sto", "--model", files, "--out", out)
    )
    assert "there is no format 'xls' here" in refusal(refine(files / "study.toml", "--out", out, "--format", "xls"))
    assert "something other than earlier results" in refusal(refine(files / "study.toml", "--out", files))
    assert not out.exists()


def test_ctrl_c_says_that_nothing_was_written(
    files: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def stop(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(job, "compare_refinements", stop)
    told = refine(files / "study.toml", "--out", tmp_path / "out")
    assert told.exit_code == 130
    assert "no results were written" in told.output + told.stderr
    assert not (tmp_path / "out").exists()


def test_the_experiment_running_scores_every_correction_on_held_out_trials(files: Path, tmp_path: Path) -> None:
    found = tmp_path / "found.json"
    command = ["experiment", "running", str(files / "study.toml"), "--json", str(found), "--out", str(tmp_path / "out")]
    told = run.invoke(app, [*command, *PLAIN])
    assert told.exit_code == 0, (told.output, told.exception)
    content = json.loads(found.read_text(encoding="utf-8"))
    assert content["experiment"] == "running" and len({row["unit"] for row in content["rows"]}) == N_TRIAL - 1
    assert {"rmse", "r", "best_r", "lag_s"} <= set(content["rows"][0])
    own = [d for d in content["differences"] if d["method"] == "refined" and d["measure"] == "rmse"]
    assert len(own) == 9 and all(d["n"] == N_TRIAL - 1 and d["median_difference"] < 0 for d in own)
    assert "A lag is only as good as the clock" in (tmp_path / "out" / "report.html").read_text(encoding="utf-8")


def test_the_experiment_walking_needs_three_people_and_takes_no_methods(files: Path, tmp_path: Path) -> None:
    command = ["experiment", "walking", str(files / "study.toml"), "--out", str(tmp_path / "out")]
    assert "needs at least 3; this study has 1 (S1)" in refusal(run.invoke(app, command))
    assert "does not take it" in refusal(run.invoke(app, [*command, "--method", "lfads"]))


def test_the_demo_needs_no_file_and_estimates_a_trial_that_has_no_emg(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = {"settings": {"refined": {"candidates": ("gain-offset", "gain-lag"), "n_folds": 3}}, "n_folds": 0}
    monkeypatch.setattr(demo, "DEMO_REFINEMENT", plain)
    monkeypatch.setattr(demo, "N_DEMO_TRIAL", 4)
    told = run.invoke(app, ["demo", "--route", "simulation", "--out", str(tmp_path / "demo")])
    assert told.exit_code == 0, (told.output, told.exception)
    assert "4 recordings with simulated activity; 9 muscles, learned from 3 recordings with EMG" in (
        tmp_path / "demo" / "report.html"
    ).read_text(encoding="utf-8")
    assert "Back to joint torques" in (tmp_path / "demo" / "report.html").read_text(encoding="utf-8")
    assert "There are: emg, motion, simulation" in refusal(run.invoke(app, ["demo", "--route", "video"]))


def test_without_files_the_experiment_walking_holds_out_simulated_people(tmp_path: Path) -> None:
    told = run.invoke(app, ["experiment", "walking", "--out", str(tmp_path / "out"), "--seeds", "3", *PLAIN, *TINY])
    assert told.exit_code == 0, (told.output, told.exception)
    said = " ".join(told.output.split())
    assert "On trials of a simulated leg" in said and "simulated 1002" in said and "kinematics" in said


TINY = [
    word
    for option in ("n_unit=3", "n_folds=2", "n_steps=2", "batch_size=2", "window_s=0.4", "reach_s=0.04")
    for word in ("--set", f"stdr-net.{option}")
]
