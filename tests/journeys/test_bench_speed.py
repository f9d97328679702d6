"""`myodrive bench speed`: what is computed from the rounds, and what it says when something is missing."""

import json

import numpy as np
import pytest
from typer.testing import CliRunner

from myodrive.cli import app
from myodrive.errors import OptionError
from myodrive.evaluation.speed_bench import work
from myodrive.evaluation.speed_bench.result import SpeedResult


def row(rate):
    return {
        "processes": 2, "threads": 1, "peak_mib": 500.0,
        "work": {"steps": {"first_s": 9.0, "rate": rate, "cpu_s": [0.2] * len(rate)}},
    }  # fmt: skip


def test_ratios_are_taken_round_by_round_against_the_faster_setting_of_the_rival(tmp_path):
    table = {
        "ours": row([8.0, 9.0, 10.0]),
        "PyTorch, one process of 2 threads": row([1.0, 1.5, 2.0]),
        "PyTorch, one process of 2 threads, stock memory": row([0.5, 0.5, 0.5]),
        "PyTorch, 2 processes of one thread": row([2.0, 3.0, 5.0]),
    }
    machine = {"cores": 2, "matrix_peak_gflop_s": 180.0, "processor": "a processor"}
    result = SpeedResult(machine, {"emg_paper": table}, {"emg_paper": 20.0}, with_torch=True)
    result.write(tmp_path / "speed.json")
    found = json.loads((tmp_path / "speed.json").read_text(encoding="utf-8"))
    assert found["ratio_to_pytorch_eager"] == 6.0
    assert found["ratio_to_pytorch_eager_range"] == [5.0, 8.0]
    assert found["ratio_to_pytorch_processes"] == 3.0
    assert found["share_of_matrix_peak"] == pytest.approx(9 / 2 * 20 / 180)


def test_without_pytorch_only_our_side_is_in_the_table():
    machine = {"cores": 2, "matrix_peak_gflop_s": 180.0, "processor": "a processor"}
    result = SpeedResult(machine, {"emg_paper": {"ours": row([8.0])}}, {"emg_paper": 20.0}, with_torch=False)
    assert result.to_dict()["ratio_to_pytorch_eager"] is None
    assert "PyTorch is not installed" in str(result.table().caption)


def test_the_operations_of_a_step_are_those_counted_by_hand_for_one_unit_each():
    one = work.Model(1, 1, 1, 1, 1, 1)
    seen = 3 * work.N_MUSCLE
    encoders = 4 * (2 * 3 * seen + 3 * 3)  # no slope at the input
    controller, generator = 3 * 3 * (3 + 1) + 3 * 2, 3 * 3 * 2
    read_out = 3 * (1 + 2 * work.N_MUSCLE)
    total = 2e-9 * work.N_TIME * work.BATCH * (encoders + controller + generator + read_out)
    assert work.gflop_per_step(one) == pytest.approx(total)


def test_the_data_are_positive_and_the_same_each_time():
    (train, valid), again = work.make_trials(), work.make_trials()
    assert train.shape == (320, 200, 12) and valid.shape == (80, 200, 12)
    assert np.all(train > 0) and np.array_equal(train, again[0])


def test_an_unknown_model_is_refused_with_the_known_ones():
    result = CliRunner().invoke(app, ["bench", "speed", "--model", "huge"])
    assert result.exit_code != 0
    assert "emg_paper" in str(result.exception)


def test_an_interpreter_without_pytorch_is_refused_before_anything_is_timed():
    result = CliRunner().invoke(app, ["bench", "speed", "--torch-python", "no/such/python"])
    assert isinstance(result.exception, OptionError)
    assert "no/such/python" in str(result.exception)
