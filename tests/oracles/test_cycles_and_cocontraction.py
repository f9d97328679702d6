"""Averages and indices against closed forms."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

from myodrive.activation import Activation
from myodrive.errors import MyodriveError
from myodrive.evaluation.cocontraction import antagonists, cocontraction, falconer_winter, rudolph
from myodrive.evaluation.cycles import average_cycles, average_events, cycles_of_side
from myodrive.evaluation.summary import COLUMNS, summarise
from myodrive.recording import Recording, make_events, make_signal

LEG = ["RTA", "RSOL", "LSOL"]


def walking(n_cycles: int = 5) -> xr.DataArray:
    """Identical cycles of one second at 100 Hz: the tibialis and the soleus take turns."""
    phase = np.arange(100 * n_cycles + 1) / 100 % 1.0
    tibialis, soleus = np.sin(np.pi * phase) ** 2, np.cos(np.pi * phase) ** 2
    values = np.stack([tibialis, soleus, soleus], axis=1)
    signal = make_signal(values, ("time", "muscle"), {"muscle": LEG}, units="1", rate_hz=100)
    names = ["tibialis anterior", "soleus", "soleus"]
    return signal.assign_coords(name=("muscle", names), side=("muscle", ["right", "right", "left"]))


def cycles(n: int = 5) -> list[tuple[float, float, str]]:
    return [(float(i), float(i + 1), "right") for i in range(n)]


def test_identical_cycles_have_no_spread_and_their_own_shape_as_mean() -> None:
    average = average_cycles(walking(), cycles())
    assert average["sd"].values == pytest.approx(0.0, abs=1e-12)
    assert average["mean"].sel(muscle="RTA").values == pytest.approx(np.sin(np.pi * np.arange(101) / 100) ** 2)
    assert average["n"].values.tolist() == [5, 5, 5]


def test_a_gap_takes_its_cycle_out_of_that_muscle_alone() -> None:
    signal = walking()
    signal[150, 0] = np.nan
    average = average_cycles(signal, cycles())
    assert average["n"].values.tolist() == [4, 5, 5]
    assert np.isfinite(average["mean"]).all()


def test_the_spread_is_that_of_a_sample() -> None:
    signal = walking(2)
    signal[101:] *= 3.0  # the second cycle is three times the first
    sd = average_cycles(signal, cycles(2))["sd"].sel(muscle="RTA", phase=50.0)
    assert float(sd) == pytest.approx(np.sqrt(2.0))  # of 1 and 3


def test_an_event_average_is_the_signal_around_the_events() -> None:
    average = average_events(walking(), [1.5, 2.5], before_s=0.25, after_s=0.5)
    assert float(average["mean"].sel(muscle="RTA").sel(lag=0.0, method="nearest")) == pytest.approx(1.0)
    assert float(average["mean"].sel(muscle="RTA").sel(lag=0.5, method="nearest")) == pytest.approx(0.0, abs=1e-12)


def test_a_cycle_that_does_not_last_is_refused() -> None:
    with pytest.raises(MyodriveError, match="does not last"):
        average_cycles(walking(), [(1.0, 1.0, "right")])


def test_a_muscle_goes_by_the_cycles_of_its_own_side() -> None:
    both = [(0.0, 1.0, "right"), (0.5, 1.5, "left")]
    assert cycles_of_side(both, "left") == [both[1]]
    assert cycles_of_side(both, "") == [both[0]]
    assert cycles_of_side([], "left") == []


def test_cocontraction_of_sines_follows_the_closed_forms() -> None:
    phase = (np.arange(100_000) + 0.5) / 100_000
    a, b = np.sin(np.pi * phase) ** 2, np.cos(np.pi * phase) ** 2
    # The mean of min(sin², cos²) is 1/2 − 1/π and a + b = 1; the mean of min/max is that of tan² up to 45°: 4/π − 1.
    assert falconer_winter(a, b) == pytest.approx(100 * (1 - 2 / np.pi), rel=1e-6)
    assert rudolph(a, b) == pytest.approx(4 / np.pi - 1, rel=1e-6)


def test_cocontraction_of_equal_muscles_is_full_and_of_alternating_ones_none() -> None:
    a, b = np.array([0.2, 0.4, 0.0]), np.array([0.0, 0.0, 0.7])
    assert falconer_winter(a, a) == pytest.approx(100.0)
    assert rudolph(a, a) == pytest.approx(2 * np.mean(a))
    assert falconer_winter(a, b) == rudolph(a, b) == 0.0


def test_missing_samples_do_not_enter_cocontraction() -> None:
    a, b = np.array([1.0, np.nan, 1.0]), np.array([1.0, 5.0, 0.0])
    assert falconer_winter(a, b) == pytest.approx(falconer_winter(a[::2], b[::2]))
    assert np.isnan(falconer_winter(a * np.nan, b)) and np.isnan(rudolph(a * np.nan, b))


def test_antagonists_are_paired_within_a_side() -> None:
    assert antagonists(walking().muscle) == [("RTA", "RSOL")]
    assert cocontraction(walking(), [("RTA", "LSOL")])["muscle"].unique().tolist() == ["RTA / LSOL"]
    with pytest.raises(MyodriveError, match="RSOL"):
        cocontraction(walking(), [("RTA", "nothing")])


def test_the_summary_is_tidy_and_its_numbers_are_those_of_the_signal() -> None:
    signal = walking()
    events = make_events([(float(i), "Foot Strike", "right") for i in range(6)])
    recording = Recording({"emg": signal.assign_attrs(stage="envelope")}, events, subject="S1", movement="walk")
    table = summarise(Activation(signal, method="low-pass", relative_to="q95"), recording)
    assert tuple(table.columns) == COLUMNS
    assert not table.duplicated(["recording", "method", "muscle", "part", "measure"]).any()
    of = table.set_index(["muscle", "part", "measure"])["value"]
    assert of["RTA", "trial", "peak"] == pytest.approx(1.0)
    assert of["RTA", "trial", "integral"] == pytest.approx(2.5)
    assert of["RTA", "cycle 2", "time_of_peak"] == pytest.approx(1.5)
    assert of["RTA", "trial", "burst_count"] == 5
    assert of["RTA / RSOL", "trial", "cocontraction_falconer_winter"] == pytest.approx(100 * (1 - 2 / np.pi), rel=1e-2)


def test_what_is_not_valid_does_not_enter_the_summary() -> None:
    signal = walking()
    valid = xr.ones_like(signal, dtype=bool)
    valid[:, 0] = False
    valid[250:, 1] = False
    activation = Activation(signal, method="low-pass", relative_to="q95", valid=valid)
    of = summarise(activation, Recording({"emg": signal})).set_index(["muscle", "part", "measure"])["value"]
    assert "RTA" not in of.index.get_level_values("muscle")
    assert of["RSOL", "trial", "integral"] == pytest.approx(1.25, abs=0.01)
