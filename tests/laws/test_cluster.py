"""The search on a real Ray cluster of two workers of this machine: the same bits, also when one of them is killed."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

from myodrive.errors import MissingExtraError, OptionError
from myodrive.learning.cluster import Cluster, _connect
from myodrive.learning.members import Work

# In a process of its own: Ray changes a process that it is started in, and its warnings are not ours.
SCRIPT = """
import dataclasses, os, signal, sys
from pathlib import Path
import test_population as t
from myodrive.learning.cluster import Cluster
import ray

crew, killed = Cluster(t.work(), "local", workers=2), []

def kill(progress):
    if progress.epoch == 2 and not killed:
        killed.append(ray.get(crew._actors[0].__ray_call__.remote(lambda actor: os.getpid())))
        os.kill(killed[0], signal.SIGKILL)

options = dataclasses.replace(t.OPTIONS, checkpoint=Path(sys.argv[1]))
found = t.search(options, t.start, t.HYPER, crew, progress=kill)
assert killed, "no worker was killed"
assert t.same(found, t.run()), "not the same bits"
again = t.search(options, t.start, t.HYPER, crew)  # another driver finds the checkpoint
assert t.same(found, again)
crew.close()
"""


@pytest.mark.skipif(
    importlib.util.find_spec("ray") is None, reason="Ray is not installed: pip install 'myodrive[cluster]'"
)
def test_a_cluster_of_which_a_worker_is_killed_searches_to_the_same_bits(tmp_path):
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(Path(__file__).parent), *sys.path])}
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(tmp_path / "search.safetensors")],
        env=environment, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr


def test_without_ray_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'myodrive\[cluster\]'"):
        Cluster(Work(None, None, None, 1), "auto")


@pytest.mark.parametrize("address", ["127.0.0.1:9", "127.0.0.1:99999"])
def test_an_address_without_a_cluster_is_told_at_once(address):
    with pytest.raises(OptionError, match=f"no Ray cluster at '{address}'"):
        _connect(None, address, 1)
