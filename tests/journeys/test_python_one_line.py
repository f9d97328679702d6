"""The line of the README, as written, and what OpenSim says of its result."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from myodrive import simulate_recording, write

OPENSIM_READS = """
import opensim
opensim.Logger.removeFileSink()
table = opensim.TimeSeriesTable("a.sto")
print(table.getNumRows(), table.getNumColumns(), *table.getColumnLabels())
"""


def test_the_line_of_the_readme_gives_a_table_that_opensim_reads(tmp_path: Path) -> None:
    recording = simulate_recording("gait", seed=1, n_muscles=2, n_latents=2, duration_s=3.0)
    write(recording.replace(signals={"emg": recording["emg"]}), tmp_path / "walk.csv")
    line = "import myodrive as md; r = md.read('walk.csv'); a = md.LowPass().fit(r).estimate(r); md.write(a, 'a.sto')"
    subprocess.run([sys.executable, "-c", line], cwd=tmp_path, check=True)
    assert (tmp_path / "a.sto").exists()
    pytest.importorskip("opensim", reason="OpenSim has no wheel for this Python")
    said = subprocess.run(
        [sys.executable, "-c", OPENSIM_READS], cwd=tmp_path, check=True, capture_output=True, text=True, timeout=120
    )
    n_time, n_muscle, *labels = said.stdout.split("\n")[-2].split()
    assert (int(n_time), int(n_muscle)) == (1500, 2) and len(labels) >= 2
