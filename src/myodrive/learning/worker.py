"""A worker: a process of one thread that has the data and the compiled program, and trains slices until it is told to go.

It talks over its standard input and output, so it needs neither a port nor the caller's `__main__`: a search started
from a plain script or a notebook works. What it reads comes from the process that started it.
"""

from __future__ import annotations

import os
import pickle
import queue
import signal
import sys
import threading
import traceback
from typing import IO, Any

from myodrive.learning.members import Work, train_members


def main() -> None:
    """Answer each request with what came of it, until the other side closes."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the process that started it, which then ends this one
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # whatever a library prints must not land among the answers
    requests: queue.Queue[Any] = queue.Queue()
    threading.Thread(target=_listen, args=(sys.stdin.buffer, requests), daemon=True).start()
    work: Work = requests.get()
    while True:
        try:
            answer: tuple[bool, Any] = True, train_members(work, *requests.get())
        except Exception:
            answer = False, traceback.format_exc()
        pickle.dump(answer, answers, protocol=pickle.HIGHEST_PROTOCOL)
        answers.flush()


def _listen(source: IO[bytes], requests: queue.Queue[Any]) -> None:
    """Reading beside the work: when the other side is killed, this process must not train on to the end."""
    try:
        while True:
            requests.put(pickle.load(source))
    except (EOFError, OSError):
        os._exit(0)


if __name__ == "__main__":
    main()
