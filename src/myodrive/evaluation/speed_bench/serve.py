"""A worker of the benchmark does what it is told, one line after the other, and answers how long it took."""

from __future__ import annotations

import json
import os
import queue
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

from myodrive.evaluation.speed_bench.work import peak_memory_mib


def serve(work: Mapping[str, Callable[[int], dict[str, float] | None]]) -> None:
    """Read ``{"what": …, "n": …}`` from standard input until it closes; each answer is one line of JSON.

    It has the time, the memory and whatever the work itself found.
    """
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # whatever a library prints must not land among the answers
    requests: queue.Queue[dict[str, Any]] = queue.Queue()
    threading.Thread(target=_listen, args=(requests,), daemon=True).start()
    while True:
        asked = requests.get()
        before, begun = time.process_time(), time.perf_counter()
        found = work[asked["what"]](asked["n"]) or {}
        wall, cpu = time.perf_counter() - begun, time.process_time() - before
        answer = {"wall_s": wall, "cpu_s": cpu, "peak_mib": peak_memory_mib(), **found}
        print(json.dumps(answer), file=answers, flush=True)


def _listen(requests: queue.Queue[dict[str, Any]]) -> None:
    """Reading beside the work: when the benchmark is gone, however it ended, nobody must go on to the end of it."""
    for line in os.fdopen(os.dup(0), encoding="utf-8"):  # Python cannot end while a thread waits at its own `sys.stdin`
        requests.put(json.loads(line))
    os._exit(0)
