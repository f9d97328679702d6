"""What was compiled once is kept for later processes; and work is spread over the cores."""

import os
import subprocess
import sys
import threading
import time

import pytest

from myodrive.learning import processes

SCRIPT = """
import myodrive as md
md.LFADS()
import jax
jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
print(jax.jit(lambda x: x + 1)(1.0))
"""


def kept(tmp_path, **variables):
    """The files under `tmp_path` after a process with these variables has compiled a program."""
    ours = {k: v for k, v in os.environ.items() if "COMPILATION_CACHE" not in k and "PERSISTENT_CACHE" not in k}
    home = dict.fromkeys(("HOME", "XDG_CACHE_HOME", "LOCALAPPDATA"), str(tmp_path))
    subprocess.run([sys.executable, "-c", SCRIPT], check=True, env={**ours, **home, **variables})
    return {f.relative_to(tmp_path) for f in tmp_path.rglob("*-cache")}


def test_the_next_process_finds_what_was_compiled(tmp_path):
    first = kept(tmp_path)
    assert any("myodrive" in f.parts for f in first)
    assert kept(tmp_path) == first


@pytest.mark.parametrize("elsewhere", [True, False])
def test_what_the_user_has_arranged_is_left_alone(tmp_path, elsewhere):
    wish = {"JAX_COMPILATION_CACHE_DIR": str(tmp_path / "own")} if elsewhere else {"JAX_ENABLE_COMPILATION_CACHE": "0"}
    assert {f.parts[0] for f in kept(tmp_path, **wish)} == ({"own"} if elsewhere else set())


def test_work_side_by_side_keeps_its_order_and_begins_nothing_after_an_error(monkeypatch):
    monkeypatch.setattr(processes, "usable_cores", lambda: 2)
    meet = threading.Barrier(2, timeout=20)  # which one thread alone would never pass
    found = processes.side_by_side(lambda k, of: (meet.wait(), k * of)[1], range(4), [1, 10, 100, 1000])
    assert found == [0, 10, 200, 3000]
    begun = []

    def work(k):
        begun.append(k)
        if k == 0:
            raise ValueError("no 0")
        time.sleep(0.1)

    with pytest.raises(ValueError, match="no 0"):
        processes.side_by_side(work, range(1000))
    assert len(begun) < 100
