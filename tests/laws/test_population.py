"""What a search by population keeps to: its rules, its bits, and what survives when a process is killed."""

from __future__ import annotations

import dataclasses
import itertools
import math
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from myodrive.errors import OptionError, SignalError
from myodrive.learning import population_rules as rules
from myodrive.learning import schedules
from myodrive.learning.crews import Alone, Processes
from myodrive.learning.loop import State
from myodrive.learning.members import Slice, Work, train_members
from myodrive.learning.population import Found, SearchOptions, as_table, search
from myodrive.learning.population_rules import Range

seeds = st.integers(0, 2**32 - 1)
scores = st.lists(st.one_of(st.floats(-10, 10), st.just(math.nan), st.just(math.inf)), min_size=2, max_size=12)


quick = settings(deadline=None, max_examples=50)


# -- rules -----------------------------------------------------------------------------------------------------------

WIDE = {"rate": Range(1e-3, 1e3, first=3.0, step=1.5)}


@given(seeds, st.integers(0, 99), st.integers(0, 99), st.floats(1e-3, 1e3), st.floats(1.0, 50.0))
@quick
def test_what_is_explored_stays_inside_its_bounds_and_near_where_it_was(seed, generation, member, value, step):
    ranges = {"rate": Range(1e-3, 1e3, first=2.0, step=step)}
    new = rules.explore({"rate": value, "other": 7.0}, ranges, "step", seed, generation, member)
    assert 1e-3 <= new["rate"] <= 1e3 and new["other"] == 7.0
    assert abs(math.log(new["rate"] / value)) <= math.log(step) + 1e-9


def test_exploring_prefers_neither_direction_nor_the_edges():
    changes = [math.log(rules.explore({"rate": 1.0}, WIDE, "step", 0, 0, m)["rate"]) for m in range(2000)]
    assert abs(np.mean(changes)) < 4 * np.std(changes) / math.sqrt(2000)
    ranges = {"rate": Range(0.1, 10.0, first=2.0, step=3.0)}
    places = []
    for member in range(200):
        values = {"rate": 1.0}
        for generation in range(40):
            values = rules.explore(values, ranges, "step", 1, generation, member)
        places.append(math.log10(values["rate"]))
    # Reflection keeps a uniform distribution uniform: a third of the members in each third of the range.
    counts = np.histogram(places, 3, (-1, 1))[0]
    assert np.all(np.abs(counts - 200 / 3) < 4 * math.sqrt(200 * 2 / 9))


@given(scores, seeds, st.integers(0, 99))
@quick
def test_nobody_copies_a_worse_member_and_a_broken_one_copies_a_sound_one(values, seed, generation):
    by_member = dict(enumerate(values))
    parents = rules.tournament(by_member, seed, generation)
    finite = [m for m, s in by_member.items() if math.isfinite(s)]
    for member, parent in parents.items():
        if parent != member:
            assert math.isfinite(by_member[parent])
            assert not math.isfinite(by_member[member]) or by_member[parent] < by_member[member]
        else:
            assert math.isfinite(by_member[member]) or not finite
    if finite:
        best = min(finite, key=lambda m: by_member[m])
        assert parents[best] == best


@given(scores, seeds, st.randoms())
@quick
def test_draws_depend_on_the_member_and_not_on_the_order_in_which_members_are_named(values, seed, random):
    by_member = list(enumerate(values))
    shuffled = random.sample(by_member, len(by_member))
    assert rules.tournament(dict(by_member), seed, 3) == rules.tournament(dict(shuffled), seed, 3)
    assert rules.survivors(dict(by_member), 2) == rules.survivors(dict(shuffled), 2)


def test_the_search_stops_after_four_generations_without_the_least_gain_and_not_before():
    assert not rules.stalled([1.0, 1.0, 1.0, 1.0])
    assert rules.stalled([1.0, 1.0, 1.0, 1.0, 1.0])
    assert not rules.stalled([1.0, 1.0, 1.0, 1.0 - 6e-4, 1.0, 1.0, 1.0])
    assert not rules.stalled([1.0 - 2e-4 * k for k in range(20)])  # slow gains add up
    assert rules.stalled([-0.5, 0.5, 1.0, 2.0, 0.0])  # scores that cross zero, where a relative rule fails


@given(st.integers(1, 60), st.integers(1, 200))
@quick
def test_a_branching_plan_spends_the_epochs_of_a_lineage_and_never_more_members_than_there_are(population, epochs):
    plan = schedules.branching(population, epochs)
    assert schedules.lineage_epochs(plan) <= 1.2 * epochs + 8
    assert epochs < 24 or schedules.lineage_epochs(plan) >= 0.8 * epochs
    sizes = [r.members for r in plan[1:]]
    assert sizes == sorted(sizes, reverse=True) and max([*sizes, 1]) <= population
    for now, after in itertools.pairwise(plan[1:]):
        assert (now.then == "halve") == (after.members < now.members)
    assert [r.rate for r in plan[-3:]] == list(schedules.FALL)


@given(st.integers(1, 30), st.integers(1, 100), st.integers(1, 8), st.floats(0.01, 10), st.floats(0.1, 2000))
@quick
def test_what_is_planned_for_a_time_fits_into_it_as_far_as_anything_does(population, epochs, workers, epoch_s, seconds):
    plan = schedules.fitting(population, epochs, workers, epoch_s, seconds)
    assert schedules.duration(plan, workers, epoch_s) <= seconds or plan == schedules.branching(1, 1)
    shorter = schedules.shortened(plan, workers, epoch_s, seconds / 3)
    assert schedules.duration(shorter, workers, epoch_s) <= seconds / 3


def test_the_default_schedule_costs_at_its_longest_less_than_a_quarter_of_the_shortest_plain_search():
    shortest = schedules.plain(20)[: 1 + rules.PATIENCE]
    plan = schedules.branching(20, 120)
    last = plan[-4]  # of the tournaments
    n_more = int(1.7 * 120 - schedules.lineage_epochs(plan)) // last.epochs
    assert (
        schedules.member_epochs(plan) + n_more * schedules.member_epochs([last])
        <= schedules.member_epochs(shortest) / 4
    )


# -- a task that is learned in milliseconds --------------------------------------------------------------------------


class Hyper(NamedTuple):
    learning_rate: Any
    decay_steps: Any
    noise: Any


@dataclasses.dataclass(frozen=True)
class Line:
    """Fit a line to points; a `noise` above 1 is not finite."""

    def draw(self, data, key):
        return data[jax.random.randint(key, (8,), 0, len(data))]

    def loss(self, weights, batch, hyper, key, step):
        error = batch[:, 0] * weights["slope"] + weights["offset"] - batch[:, 1]
        loss = (error**2).mean() + hyper.noise * 1e-3 * jax.random.normal(key) * weights["slope"].sum()
        return jnp.where(hyper.noise > 1.0, jnp.nan, loss), {"noise": loss}

    def validate(self, weights, data, key):
        error = data[:, 0] * weights["slope"] + weights["offset"] - data[:, 1]
        return (error**2).mean(), {}


def work(n_steps: int = 3) -> Work:
    x = jnp.linspace(-1, 1, 40)
    return Work(Line(), jnp.stack([x, 2 * x + 1], 1), jnp.stack([x, 2 * x + 1], 1)[::5], n_steps)


def start(member: int) -> dict[str, jax.Array]:
    return {"slope": jnp.full((), 0.1 * member), "offset": jnp.zeros(())}


HYPER = Hyper(*(jnp.float32(v) for v in (0.02, np.inf, 0.5)))
OPTIONS = SearchOptions(
    population=10, epochs=24, steps_per_epoch=3, start={"learning_rate": 0.02, "noise": 0.5},
    ranges={"learning_rate": Range(1e-3, 0.1, first=3.0, step=1.5), "noise": Range(0.1, 1.0, first=2.0, step=1.2)},
)  # fmt: skip


def run(crew: Any = None, **changes: Any) -> Found:
    return search(dataclasses.replace(OPTIONS, **changes), start, HYPER, crew or Alone(work()))


def same(one: Found, other: Found) -> bool:
    pairs = zip(jax.tree.leaves((one.best, one.best_score)), jax.tree.leaves((other.best, other.best_score)))
    return one.history == other.history and all(np.array_equal(a, b) for a, b in pairs)


@pytest.fixture(scope="module")
def found() -> Found:
    return run()


def test_a_search_learns_and_its_history_tells_who_copied_whom(found):
    table = as_table(found.history)
    assert found.best_score.min() < 0.5 * table["validation"].iloc[0]
    for generation, rows in list(table.groupby("generation"))[1:]:
        before = table[table["generation"] == generation - 1].set_index("member")
        for row in rows.itertuples():
            assert row.parent in before.index
            assert row.steps == before.loc[row.parent, "steps"] + 3 * plan_epochs(generation)
    last = table[table["generation"] == table["generation"].max()]
    assert np.any(table["member"] != table["parent"]) and len(last) < OPTIONS.population
    assert found.member_steps == 3 * schedules.member_epochs(schedules.branching(10, 24))


def test_a_search_that_still_gains_goes_on_for_as_long_as_it_may(found):
    longer = run(longer=2.0)
    epochs = max(row["steps"] for row in longer.history) / 3
    assert 36 < epochs <= 48
    as_before = [row for row in found.history if row["generation"] < len(schedules.branching(10, 24)) - 3]
    assert longer.history[: len(as_before)] == as_before
    still = {"learning_rate": Range(1e-9, 1e-9, first=1.0, step=1.0)}
    nothing_gained = run(longer=2.0, start={"learning_rate": 1e-9, "noise": 0.5}, ranges=still)
    assert nothing_gained.history[-1]["generation"] < longer.history[-1]["generation"]


def test_a_search_follows_a_plan_of_its_own_by_the_rules_of_its_schedule():
    plan = (schedules.Round(6, 2), schedules.Round(6, 1))
    found = run(population=6, schedule="plain", plan=plan)
    assert [row["steps"] for row in found.history] == [6] * 6 + [9] * 6
    assert found.member_steps == 6 * 9 and found.stopped == "schedule"
    assert any(row["parent"] != row["member"] for row in found.history[6:])


def plan_epochs(generation: int) -> int:
    return schedules.branching(10, 24)[generation].epochs


class Watched(Alone):
    """Notes the learning rates that members are told to learn with."""

    rates: list[float]

    def train(self, orders, done):
        self.rates = [*getattr(self, "rates", []), *(float(r) for o in orders for r in o.hyper.learning_rate)]
        super().train(orders, done)


def test_the_learning_rate_that_the_search_changes_is_the_one_that_steps_are_taken_with():
    crew = Watched(work())
    told = [row["learning_rate"] for row in run(crew).history]
    assert len(set(told)) > 6
    np.testing.assert_allclose(crew.rates, told, rtol=1e-6)
    # The first step of Adam is as long as the learning rate.
    state = State.start(start(1), jax.random.PRNGKey(0))
    two = jax.tree.map(lambda a: np.stack([a, a]), Slice(state, state.average, np.float32(np.inf)))
    hyper = jax.tree.map(lambda a: np.stack([a, a]), HYPER)._replace(learning_rate=np.float32([0.01, 0.03]))
    after = train_members(work(n_steps=1), two, hyper, 1).slice.state.weights["slope"]
    np.testing.assert_allclose((after - 0.1) / 0.01, [1, 3], rtol=1e-3)


def test_members_in_one_batch_search_alike_to_rounding(found):
    batch = run(Alone(work(), together=True))
    np.testing.assert_allclose(batch.best_score, found.best_score, rtol=0.2)
    assert [row["learning_rate"] for row in batch.history[:8]] == [row["learning_rate"] for row in found.history[:8]]


def test_a_member_without_a_finite_loss_is_replaced_and_a_population_of_them_is_refused():
    broken = dataclasses.replace(OPTIONS.ranges["noise"], high=1.5, first=2.9)
    history = run(ranges={**OPTIONS.ranges, "noise": broken}).history
    lost = {(r["generation"], r["member"]) for r in history if not math.isfinite(r["score"])}
    assert lost
    for row in history:  # whoever follows in its place, or in any other, comes from one that learned
        assert (row["generation"] - 1, row["parent"]) not in lost
    with pytest.raises(SignalError, match="no network of the population has a finite loss"):
        run(start={**OPTIONS.start, "noise": 2.0}, ranges={})


# -- interruption ----------------------------------------------------------------------------------------------------

SCRIPT = """
import sys
from pathlib import Path
from test_population import run
run(checkpoint=Path(sys.argv[1]), epochs=int(sys.argv[2]))
"""


def test_a_search_that_is_killed_again_and_again_ends_with_the_same_bits(tmp_path):
    path, rng = tmp_path / "search.safetensors", np.random.default_rng(0)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(Path(__file__).parent), *sys.path])}
    kills = 0
    for _ in range(2):
        process = subprocess.Popen([sys.executable, "-c", SCRIPT, str(path), "600"], env=environment)
        before = path.stat().st_mtime_ns if path.exists() else 0
        while process.poll() is None and not (path.exists() and path.stat().st_mtime_ns > before):
            time.sleep(0.01)
        time.sleep(float(rng.uniform(0, 0.2)))
        process.send_signal(signal.SIGTERM if os.name == "nt" else signal.SIGKILL)
        kills += process.wait() != 0
    assert kills == 2
    assert same(run(checkpoint=path, epochs=600), run(epochs=600))


def test_a_stop_between_two_slices_loses_one_generation_at_most(tmp_path, found):
    path, told = tmp_path / "search.safetensors", []

    def stop(progress):
        told.append(progress.epoch)
        if progress.epoch == 3:
            raise KeyboardInterrupt

    options = dataclasses.replace(OPTIONS, checkpoint=path)
    with pytest.raises(KeyboardInterrupt):
        search(options, start, HYPER, Alone(work()), progress=stop)
    told.clear()
    again = search(options, start, HYPER, Alone(work()), progress=lambda p: told.append(p.epoch))
    assert told[0] == 3 and same(again, found)
    with pytest.raises(OptionError, match="other data"):
        run(checkpoint=path, fingerprint="another")


def test_in_processes_of_which_one_is_killed_it_ends_with_the_bits_of_a_search_in_one_process(found):
    crew, killed = Processes(work(), 2), []

    def kill(progress):
        if progress.epoch == 2 and not killed:
            killed.append(crew._started[0].process)
            killed[0].kill()

    try:
        assert same(search(OPTIONS, start, HYPER, crew, progress=kill), found)
        assert killed and len(crew._started) == 3
    finally:
        crew.close()


def test_with_minutes_it_plans_what_fits_and_stops_in_time():
    begun = time.monotonic()
    quick = run(minutes=1e-4)
    assert quick.stopped == "minutes" and time.monotonic() - begun < 30
    assert quick.member_steps < 3 * schedules.member_epochs(schedules.branching(10, 24))
    assert len(quick.ranked(3)) >= 1


def test_members_spread_over_the_devices_of_one_machine():
    script = (
        "import jax, numpy as np, test_population as t\n"
        "from myodrive.learning.members import _spread\n"
        "assert len(_spread(6)(np.zeros((6, 3))).sharding.device_set) == 2 == len(jax.devices())\n"
        "assert len(_spread(3)(np.zeros((3, 3))).sharding.device_set) == 1\n"
        "both, one = t.run(t.Alone(t.work(), together=True)), t.run()\n"
        "np.testing.assert_allclose(both.best_score, one.best_score, rtol=0.2)\n"
    )
    environment = {
        **os.environ,
        "XLA_FLAGS": "--xla_force_host_platform_device_count=2",
        "PYTHONPATH": os.pathsep.join([str(Path(__file__).parent), *sys.path]),
    }
    done = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
