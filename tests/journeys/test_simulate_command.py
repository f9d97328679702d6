"""The command that simulates: from markers and forces to a folder that OpenSim and myodrive read."""

from __future__ import annotations

import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from markupsafe import escape

import myodrive as md
import tiny_arm as arm
from myodrive.recording import make_signal


@pytest.mark.skipif(
    find_spec("opensim") is None, reason="the package opensim, of the extra of that name, is not installed"
)
def test_one_command_simulates_and_says_what_it_matched(tmp_path: Path) -> None:
    arm.write_all(tmp_path)
    command = [
        sys.executable, "-c", "from myodrive.cli import main; main()", "simulate", "arm.osim", "--markers", "moving.trc",
        "--forces", "force.mot", "--force-on", "hand_force=fore", "--start-s", "0.4", "--end-s", "0.55",
        "--format", "sto", "--out", "results",
    ]  # fmt: skip
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr
    assert "4 markers matched" in done.stdout and "hand_force acts on fore" in done.stdout
    assert not (tmp_path / "opensim.log").exists()
    recording = md.read(tmp_path / "results" / "simulated.nc")
    assert {"simulated", "moments", "moment_arms", "angles", "forces"} <= set(recording.signals)
    assert recording.info["simulation"]["findings"]
    again = md.read(tmp_path / "results" / "simulated.sto")["simulated"]
    assert abs(again.values - recording["simulated"].values).max() < 1e-12
    page = (tmp_path / "results" / "report.html").read_text(encoding="utf-8")
    assert "Residuals" not in page  # an arm that is bolted to the ground has none
    assert "How far to trust it" in page and "deltoid" in page and "A1" in page
    assert all(escape(f["words"]) in page for f in recording.info["simulation"]["findings"])
    assert "https://" not in page.replace("https://doi.org/", "")  # nothing is fetched
    wrong = subprocess.run([*command, "--cutoff-hz", "0"], cwd=tmp_path, capture_output=True, text=True, timeout=600)
    assert wrong.returncode == 2 and wrong.stderr.startswith("myodrive: --cutoff-hz: the cut-off must be above 0 Hz")
    missing = [word if word != "force.mot" else "nowhere.mot" for word in command]
    done = subprocess.run(missing, cwd=tmp_path, capture_output=True, text=True, timeout=600)
    assert done.returncode == 2 and done.stderr.startswith("myodrive: nowhere.mot: ") and done.stderr.count("\n") == 1


def simulate(*words: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", "from myodrive.cli import main; main()", "simulate", *words]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=600)


@pytest.mark.skipif(
    find_spec("mujoco") is None or find_spec("myo_sim") is None,
    reason="the packages mujoco and myo-sim, of the extra mujoco, are not installed",
)
def test_legs_are_simulated_without_opensim_from_what_plug_in_gait_leaves(tmp_path: Path) -> None:
    time = np.arange(100) / 100
    joints = [f"{side}{joint}" for side in "LR" for joint in ("Hip", "Knee", "Ankle")]
    phase = 2 * np.pi * time[:, None] + np.arange(18) / 3
    signals = {
        name: make_signal(
            values,
            ("time", "joint"),
            {"joint": [f"{j}{kind}_{a}" for j in joints for a in "xyz"]},
            units=units,
            time=time,
        )
        for name, kind, values, units in (
            ("angles", "Angles", 20 + 10 * np.sin(phase), "deg"),
            ("moments", "Moment", 400 * np.cos(phase), "Nmm"),
        )
    }
    md.write(md.Recording(signals, info={"PROCESSING": {"Bodymass": [50.0]}}), tmp_path / "walk.nc")
    stretch = ("--start-s", "0.2", "--end-s", "0.7", "--format", "sto", "--out", "results")
    done = simulate("legs", "walk.nc", "--height-m", "1.6", *stretch, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert (
        "The legs of a person of 1.60 m, as was given" in done.stdout and "Not to be trusted, gasmed_r" in done.stdout
    )
    recording = md.read(tmp_path / "results" / "simulated.nc")
    assert float(recording["simulated"].time[0]) == 0.2 and float(recording["simulated"].time[-1]) == 0.7
    assert {"muscle_forces", "reserves", "moment_arms"} <= set(recording.signals)
    again = md.read(tmp_path / "results" / "simulated.sto")["simulated"]
    assert abs(again.values - recording["simulated"].values).max() < 1e-12
    page = (tmp_path / "results" / "report.html").read_text(encoding="utf-8")
    assert "by MuJoCo with a model of myo-sim" in page and "soleus" in page and "Todorov" in page
    assert all(escape(f["words"]) in page for f in recording.info["simulation"]["findings"])


def test_options_of_another_model_are_refused(tmp_path: Path) -> None:
    for words, said in {
        ("legs",): "myodrive: legs: the movement is missing",
        ("legs", "walk.c3d", "--static", "standing.c3d"): "myodrive: --static: the model legs does not take it",
        ("arm.osim", "walk.c3d", "--height-m", "1.7"): "myodrive: --height-m: an OpenSim model does not take it",
        ("arm.osim", "a.trc", "--markers", "b.trc"): "myodrive: --markers: the movement is given twice",
    }.items():
        done = simulate(*words, cwd=tmp_path)
        assert done.returncode == 2 and done.stderr.startswith(said), done.stderr
