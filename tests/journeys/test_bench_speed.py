"""`myodrive bench speed`: what is computed from the rounds, and what it says when something is missing."""

import dataclasses
import json
import subprocess
import sys

import jax
import numpy as np
import pytest
from typer.testing import CliRunner

from myodrive.cli import app
from myodrive.errors import OptionError
from myodrive.evaluation.speed_bench import contest, runner, work
from myodrive.evaluation.speed_bench.contenders import STOCK, Contender, our_search, our_training, rivals
from myodrive.evaluation.speed_bench.contest import Contest
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
    assert result.table().row_count == 6  # and the name of the model


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


def answers_to(asked, monkeypatch):
    """No process is started; what each is asked for is noted."""

    def answers(self, name, what, n):
        asked.append((name, n))
        return [{"wall_s": 2.0, "cpu_s": 3.0, "peak_mib": float(len(asked)), "mib": 200.0}]

    monkeypatch.setattr(Contender, "start", lambda self, model, further: [])
    monkeypatch.setattr(Contest, "_answers", answers)


def contest_of(*sides):
    running = Contest("emg_paper", lambda what, seconds: None)
    for one in sides:
        running.start(one)
    return running


def test_sides_take_turns_there_and_back_after_a_first_call_of_those_that_need_one(monkeypatch):
    asked = []
    answers_to(asked, monkeypatch)
    timed = contest_of(side("ours", n_worker=2), side("rival"))
    timed.time("search", lambda one: 4 * one.n_worker, 2, lambda one: int(one.name == "ours"))
    assert asked == [("ours", 1), ("ours", 8), ("rival", 4), ("rival", 4), ("ours", 8)]
    assert timed.table["ours"]["work"]["search"] == {"first_s": 2.0, "rate": [4.0, 4.0]}
    assert timed.table["rival"]["work"]["search"] == {"rate": [2.0, 2.0], "cpu_s": [0.75, 0.75]}
    assert timed.table["ours"]["processes"] == 2 and timed.table["ours"]["peak_mib"] == 5.0


def test_of_two_settings_of_memory_the_slower_stops(monkeypatch):
    monkeypatch.setattr(Contender, "start", lambda self, model, further: [])
    names = ("ours", "a", "b", f"a{STOCK}", f"b{STOCK}")
    timed = contest_of(*map(side, names))
    timed.table = {name: row([rate]) for name, rate in zip(names, (1.0, 2.0, 3.0, 4.0, 2.0))}
    timed.stop(*timed.slower_settings())
    assert list(timed.sides) == ["ours", "b", f"a{STOCK}"]
    timed.table = {name: timed.table[name] for name in timed.sides}  # as at the next model
    assert timed.slower_settings() == []


def test_the_whole_benchmark_does_what_it_says_and_tells_how_far_it_is(monkeypatch, tmp_path):
    asked, told = [], []
    answers_to(asked, monkeypatch)
    monkeypatch.setattr(runner, "_version_of_torch", lambda python: "2")
    monkeypatch.setattr(runner, "_peak_of_one_core", lambda: 180.0)
    monkeypatch.setattr(runner, "usable_cores", lambda: 2)
    result = runner.run_speed_bench(torch_python="python", progress=lambda *now: told.append(now))
    works = {model: list(table["ours"]["work"]) for model, table in result.tables.items()}
    assert works == {
        "emg_paper": ["steps", "epochs", "posterior", "search"],
        "snel_lab": ["steps"],
        "large": ["steps"],
    }
    stock = [name for table in result.tables.values() for name in table if name.endswith(STOCK)]
    assert len(stock) >= 2 and len(result.tables["large"]) == 3
    ours = result.tables["emg_paper"]["ours"]
    assert list(ours["compile_s"]) == ["steps", "epochs", "posterior"]
    assert ours["mib_of_a_member"] == 200.0 and ours["mib_per_further_member"] > 0
    done, total = [now[1] for now in told], {now[2] for now in told}
    assert done == sorted(done) and len(total) == 1
    assert 0.9 * total.pop() < done[-1] < told[-1][2]


def test_without_pytorch_installed_nobody_but_us_is_asked(monkeypatch):
    asked = []
    answers_to(asked, monkeypatch)
    monkeypatch.setattr(runner.importlib.util, "find_spec", lambda name: None)
    monkeypatch.setattr(runner, "_peak_of_one_core", lambda: 180.0)
    assert list(runner.run_speed_bench(quick=True).tables["emg_paper"]) == ["ours"]
    assert {name for name, _ in asked} == {"compiler", "ours"}


def sleeping():
    code = "import time; time.sleep(600)"
    return subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def test_a_benchmark_that_is_broken_off_leaves_no_process(monkeypatch):
    started = []

    def start(self, model, further):
        started.append(sleeping())
        return started[-1:]

    def interrupted(processes, what, n):
        raise KeyboardInterrupt

    monkeypatch.setattr(Contender, "start", start)
    monkeypatch.setattr(contest, "ask", interrupted)
    monkeypatch.setattr(runner, "_version_of_torch", lambda python: "2")
    monkeypatch.setattr(runner, "_peak_of_one_core", lambda: 180.0)
    with pytest.raises(KeyboardInterrupt):
        runner.run_speed_bench(quick=True, torch_python="python")
    assert len(started) == 3
    assert all(process.poll() is not None for process in started)


def test_a_worker_whose_benchmark_is_gone_does_not_go_on_to_the_end_of_its_work():
    code = "import time; from myodrive.evaluation.speed_bench.serve import serve; serve({'sleep': time.sleep})"
    worker = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    print(json.dumps({"what": "sleep", "n": 0}), file=worker.stdin, flush=True)
    assert json.loads(worker.stdout.readline())["wall_s"] < 600
    print(json.dumps({"what": "sleep", "n": 600}), file=worker.stdin, flush=True)
    worker.communicate(timeout=60)
    assert worker.returncode == 0


@pytest.mark.skipif(not hasattr(runner.os, "sched_setaffinity"), reason="this system does not pin processes")
def test_the_process_that_searches_has_the_cores_of_all_that_train_for_it(monkeypatch):
    pinned, nobody = [], sleeping()
    monkeypatch.setattr(runner.os, "sched_getaffinity", lambda pid: {0, 1, 2, 3})
    monkeypatch.setattr(runner.os, "sched_setaffinity", lambda pid, cores: pinned.append(cores))
    monkeypatch.setattr(subprocess, "Popen", lambda *given, **more: nobody)
    for one in (our_search(4), our_training(4), rivals("python", 4)[0]):
        one.start("emg_paper", {})
    nobody.kill()
    nobody.communicate()
    assert pinned == [{0, 1, 2, 3}, {0}, {1}, {2}, {3}, {0, 1, 2, 3}]


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
