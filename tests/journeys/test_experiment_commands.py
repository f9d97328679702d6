"""`myodrive experiment`: from nothing, or from a file, to a table, a report and a JSON."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from myodrive.cli import app
from myodrive.io import write
from myodrive.truth import simulate_for_analysis

run = CliRunner()


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    made = simulate_for_analysis("force-coherence", seed=1200, n_muscles=3, duration_s=12, rate_hz=1000.0)
    return write(made.replace(subject="A", movement="hold"), tmp_path / "hold.nc")


def test_the_list_names_every_experiment_with_its_question() -> None:
    told = run.invoke(app, ["experiment", "list"])
    assert told.exit_code == 0
    assert all(n in told.output for n in ("cortical:", "decoding:", "force-coherence:", "frequency-response:"))
    assert all(n in told.output for n in ("running:", "walking:"))
    from_motion = ("unseen-movement:", "segmentation:", "inputs:", "diversity:", "new-person:")
    assert all(n in told.output for n in from_motion)
    assert told.output.count("?") == 11


def test_a_file_of_ones_own_gives_a_table_a_report_and_a_json(recording: Path, tmp_path: Path) -> None:
    out, found = tmp_path / "out", tmp_path / "found.json"
    command = ["experiment", "force-coherence", str(recording), "--method", "low-pass", "--json", str(found)]
    told = run.invoke(app, [*command, "--set", "low-pass.cutoff_hz=60", "--out", str(out)])
    assert told.exit_code == 0, told.output
    content = json.loads(found.read_text(encoding="utf-8"))
    assert content["rows"][0]["found"] == 1
    assert content["entries"][0]["measures"]["survival"] > 0.5
    page = (out / "report.html").read_text(encoding="utf-8")
    assert "this supports that the estimate keeps an oscillation" in page
    assert "Coherence does not change with gain" in page
    assert "http" not in page.replace("http://www.w3.org", "")
    again = run.invoke(app, [*command, "--set", "low-pass.cutoff_hz=3", "--out", str(out)])
    assert again.exit_code == 0
    assert json.loads(found.read_text(encoding="utf-8"))["rows"][0]["found"] == 0, "3 Hz leaves nothing of 22 Hz"


def test_a_folder_that_holds_something_else_is_not_replaced(recording: Path, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("years of work", encoding="utf-8")
    told = run.invoke(app, ["experiment", "force-coherence", str(recording), "--out", str(tmp_path / "mine")])
    assert told.exit_code != 0
    assert "Choose another folder" in str(told.exception)
    assert (tmp_path / "mine" / "thesis.txt").exists()


def test_the_experiments_run_on_recordings_simulated_for_them(tmp_path: Path) -> None:
    out = str(tmp_path / "out")
    told = run.invoke(app, ["experiment", "cortical", "--method", "low-pass", "--seeds", "1", "--out", out])
    assert told.exit_code == 0, told.output
    assert "found in 1 of 1 recordings with the effect, and in 0 of 1 without it" in " ".join(told.output.split())
