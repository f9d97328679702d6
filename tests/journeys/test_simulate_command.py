"""The command that simulates: from markers and forces to a folder that OpenSim and myodrive read."""

from __future__ import annotations

import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
from markupsafe import escape

import myodrive as md
import tiny_arm as arm


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
