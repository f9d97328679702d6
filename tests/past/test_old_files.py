"""What earlier versions wrote still opens, and still means the same numbers."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from myodrive import LFADS, BayesFilter, LowPass, read, read_study

VERSIONS = sorted(p for p in Path(__file__).parent.iterdir() if p.name.startswith("v"))


@pytest.mark.parametrize("folder", VERSIONS, ids=lambda p: p.name)
def test_recordings_studies_and_activations_of_every_version_open(folder: Path) -> None:
    recording, study, kept = (
        read(folder / "recording.nc"),
        read_study(folder / "study.nc"),
        read(folder / "activation.nc"),
    )
    numbers = json.loads((folder / "numbers.json").read_text(encoding="utf-8"))
    assert recording["emg"].identical(study[0]["emg"]) and len(recording.events) == len(study[0].events) > 0
    np.testing.assert_allclose(kept["activation"].mean("time").values, numbers["mean"], rtol=1e-12)
    assert kept["activation"].sizes["time"] == numbers["n_time"]


@pytest.mark.parametrize("folder", VERSIONS, ids=lambda p: p.name)
def test_estimators_saved_by_every_version_load_and_estimate_the_same(folder: Path) -> None:
    recording = read(folder / "recording.nc")
    numbers = json.loads((folder / "numbers.json").read_text(encoding="utf-8"))
    again = LowPass.load(folder / "low-pass").estimate(recording)
    np.testing.assert_allclose(again.activation.mean("time").values, numbers["mean"], rtol=1e-6)
    assert BayesFilter.load(folder / "bayes").estimate(recording).has_interval
    network = LFADS.load(folder / "lfads").estimate(recording)
    # A mean over 20 draws, and later versions may draw others: 1000 draws are within 1.2 % of these 20.
    np.testing.assert_allclose(network.activation.mean("time").values, numbers["lfads_mean"], rtol=0.03)
