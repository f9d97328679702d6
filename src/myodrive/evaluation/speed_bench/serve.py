"""A worker of the benchmark does what it is told, one line after the other, and answers how long it took."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Mapping

from myodrive.evaluation.speed_bench.work import peak_memory_mib


def serve(work: Mapping[str, Callable[[int], None]]) -> None:
    """Read ``{"what": …, "n": …}`` from standard input until it closes; each answer is one line of JSON."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # whatever a library prints must not land among the answers
    for line in sys.stdin:
        asked = json.loads(line)
        before, begun = time.process_time(), time.perf_counter()
        work[asked["what"]](asked["n"])
        wall, cpu = time.perf_counter() - begun, time.process_time() - before
        print(json.dumps({"wall_s": wall, "cpu_s": cpu, "peak_mib": peak_memory_mib()}), file=answers, flush=True)
