"""A worker of the benchmark does what it is told, one line after the other, and answers how long it took."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Mapping

from myodrive.evaluation.speed_bench.work import peak_memory_mib


def serve(work: Mapping[str, Callable[[int], dict[str, float] | None]]) -> None:
    """Read ``{"what": …, "n": …}`` from standard input until it closes; each answer is one line of JSON.

    It has the time, the memory and whatever the work itself found.
    """
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # whatever a library prints must not land among the answers
    for line in sys.stdin:
        asked = json.loads(line)
        before, begun = time.process_time(), time.perf_counter()
        found = work[asked["what"]](asked["n"]) or {}
        wall, cpu = time.perf_counter() - begun, time.process_time() - before
        answer = {"wall_s": wall, "cpu_s": cpu, "peak_mib": peak_memory_mib(), **found}
        print(json.dumps(answer), file=answers, flush=True)
