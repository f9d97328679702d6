"""`myodrive bench speed`: what is computed from the rounds, and what it says when something is missing."""

import dataclasses
import json

import jax
import numpy as np
import pytest
from typer.testing import CliRunner

from myodrive.cli import app
from myodrive.errors import OptionError
from myodrive.evaluation.speed_bench import contenders, work
from myodrive.evaluation.speed_bench.contenders import STOCK, Contender, Contest
from myodrive.evaluation.speed_bench.our_worker import memory_of_a_member, setting_of
from myodrive.evaluation.speed_bench.result import SpeedResult

MACHINE = {"cores": 2, "matrix_peak_gflop_s": 180.0, "processor": "a processor"}


def row(rate, search=None):
    steps = {"first_s": 9.0, "rate": rate, "cpu_s": [0.2] * len(rate)}
    small = {"search": {"first_s": 20.0, "rate": search}} if search else {}
    return {"processes": 2, "threads": 1, "peak_mib": 500.0, "work": {"steps": steps, **small}}


def test_ratios_are_taken_round_by_round_against_the_faster_setting_of_the_rival(tmp_path):
    table = {
        "ours": row([8.0, 9.0, 10.0]),
        "PyTorch, one process of 2 threads": row([1.0, 1.5, 2.0]),
        "PyTorch, one process of 2 threads, stock memory": row([0.5, 0.5, 0.5]),
        "PyTorch, 2 processes of one thread": row([2.0, 3.0, 5.0]),
    }
    result = SpeedResult(MACHINE, {"emg_paper": table}, {"emg_paper": 20.0}, with_torch=True)
    result.write(tmp_path / "speed.json")
    found = json.loads((tmp_path / "speed.json").read_text(encoding="utf-8"))
    assert found["ratio_to_pytorch_eager"] == 6.0
    assert found["ratio_to_pytorch_eager_range"] == [5.0, 8.0]
    assert found["ratio_to_pytorch_processes"] == 3.0
    assert found["share_of_matrix_peak"] == pytest.approx(9 / 2 * 20 / 180)


def test_a_search_is_compared_with_the_settings_that_did_it_and_the_memory_of_members_is_told():
    ours = row([8.0], [4.0, 6.0]) | {"mib_per_further_member": 20.0, "mib_of_a_member": 200.0}
    table = {
        "ours": ours,
        "PyTorch, one process of 2 threads": row([1.0]),
        "PyTorch, one process of 2 threads, stock memory": row([1.5], [1.0, 1.0]),
    }
    result = SpeedResult(MACHINE, {"emg_paper": table}, {"emg_paper": 20.0}, with_torch=True)
    found = result.to_dict()
    assert found["search_ratio_to_pytorch_eager"] == 5.0
    assert found["search_ratio_to_pytorch_eager_range"] == [4.0, 6.0]
    assert found["search_ratio_to_pytorch_processes"] is None
    assert found["memory_growth"] == 0.1 and found["peak_mib"]["ours"] == 500.0
    assert "of one need 200 MiB" in str(result.table().caption)
    assert result.table().row_count == 5


def test_what_a_member_needs_is_its_state_once_and_the_states_of_all_cells_for_each_trial_of_a_batch(monkeypatch):
    monkeypatch.setenv("MYODRIVE_PLAIN_SCANS", "1")
    setting = setting_of("emg_paper")
    n_weight = sum(a.size for a in jax.tree.leaves(jax.eval_shape(setting.start, jax.random.PRNGKey(0))))
    one, batch = (
        memory_of_a_member(setting._replace(task=dataclasses.replace(setting.task, batch_size=n)))
        for n in (1, work.BATCH)
    )
    m, mib = work.MODELS["emg_paper"], 4 / 2**20
    units = 4 * m.encoder + m.controller + m.generator
    each = (batch - one) / (work.BATCH - 1)
    assert one - each > 4 * n_weight * mib
    assert work.N_TIME * units * mib < each < 20 * work.N_TIME * units * mib


def side(name, n_worker=1):
    return Contender(name, "no_module", 1, 1, {}, "python", n_worker)


def contest_of(*sides):
    contest = Contest("emg_paper", lambda what: None)
    for one in sides:
        contest.sides[one.name], contest._running[one.name] = one, []
    return contest


def test_sides_take_turns_there_and_back_after_a_first_call(monkeypatch):
    contest = contest_of(side("ours", n_worker=2), side("rival"))
    asked = []
    names = {id(processes): name for name, processes in contest._running.items()}

    def ask(processes, what, n):
        asked.append((names[id(processes)], n))
        return [{"wall_s": 2.0, "cpu_s": 3.0, "peak_mib": float(len(asked))}]

    monkeypatch.setattr(contenders, "ask", ask)
    contest.time("search", lambda one: 4 * one.n_worker, 2, lambda one: 1)
    assert asked == [("ours", 1), ("rival", 1), ("ours", 8), ("rival", 4), ("rival", 4), ("ours", 8)]
    assert contest.table["ours"]["work"]["search"] == {"first_s": 2.0, "rate": [4.0, 4.0]}
    assert contest.table["rival"]["work"]["search"] == {"first_s": 2.0, "rate": [2.0, 2.0], "cpu_s": [0.75, 0.75]}
    assert contest.table["ours"]["processes"] == 2 and contest.table["ours"]["peak_mib"] == 6.0


def test_of_two_settings_of_memory_the_slower_stops_and_ours_with_stock_memory_too():
    names = ("ours", "a", "b", f"a{STOCK}", f"b{STOCK}", f"ours{STOCK}")
    contest = contest_of(*map(side, names))
    contest.table = {name: row([rate]) for name, rate in zip(names, (1.0, 2.0, 3.0, 4.0, 2.0, 9.0))}
    contest.stop(*contest.slower_settings())
    assert list(contest.sides) == ["ours", "b", f"a{STOCK}"]
    contest.table = {name: contest.table[name] for name in contest.sides}  # as at the next model
    assert contest.slower_settings() == []


def test_without_pytorch_only_our_side_is_in_the_table():
    result = SpeedResult(MACHINE, {"emg_paper": {"ours": row([8.0])}}, {"emg_paper": 20.0}, with_torch=False)
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
