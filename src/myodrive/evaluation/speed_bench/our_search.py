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


def work(model: str) -> dict[str, Callable[[int], None]]:
    """What can be asked for: a search of some member-steps, whose processes start with the first; or nothing."""
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

    return {"search": search_, "nothing": lambda n: None}


if __name__ == "__main__":
    serve(work(sys.argv[1]))
