"""Our side: a small search as `AutoLFADS` runs it. This process searches, one process on each core trains."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable

import jax

from myodrive.evaluation.speed_bench.our_worker import HYPER, setting_of
from myodrive.evaluation.speed_bench.serve import serve
from myodrive.evaluation.speed_bench.work import MEMBER_EPOCHS, MEMBER_STEPS, STEPS_PER_EPOCH
from myodrive.from_emg.lfads.autolfads import RANGES
from myodrive.learning.crews import Processes
from myodrive.learning.members import Work
from myodrive.learning.population import SearchOptions, search
from myodrive.learning.processes import usable_cores
from myodrive.learning.schedules import Round


def work(model: str) -> tuple[dict[str, Callable[[int], None]], Callable[[], None]]:
    """What can be asked for, and what ends the processes. They start with the first search, and compile in it."""
    setting = setting_of(model)
    start = {name: min(max(HYPER[name], r.low), r.high) for name, r in RANGES.items()}

    @functools.cache
    def crew() -> Processes:
        return Processes(Work(setting.task, setting.training, setting.validation, STEPS_PER_EPOCH), usable_cores())

    def search_(n: int) -> None:
        population = n // MEMBER_STEPS
        options = SearchOptions(
            population,
            RANGES,
            start,
            STEPS_PER_EPOCH,
            schedule="plain",
            plan=(Round(population, 1),) * MEMBER_EPOCHS,
        )
        keys = jax.random.split(jax.random.PRNGKey(0), population)
        found = search(options, lambda member: setting.start(keys[member]), setting.hyper, crew())
        assert found.member_steps == n

    return {"search": search_}, lambda: crew().close()


if __name__ == "__main__":
    searching, end = work(sys.argv[1])
    try:
        serve(searching)
    finally:
        end()
