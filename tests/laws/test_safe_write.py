"""Whatever goes wrong while saving, the old file stays and nothing else is left."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from myodrive.errors import FileError
from myodrive.safe_write import safe_write, safe_write_folder, safe_write_text


class Disk:
    """Counts the calls that touch the disk and fails the n-th."""

    def __init__(self, fail_at: int) -> None:
        self.fail_at, self.calls = fail_at, 0

    def wrap(self, function: Callable[..., Any]) -> Callable[..., Any]:
        def counted(*arguments: Any, **options: Any) -> Any:
            self.calls += 1
            if self.calls == self.fail_at:
                raise OSError(28, "No space left on device")
            return function(*arguments, **options)

        return counted


@pytest.mark.parametrize("fail_at", range(1, 9))
def test_a_failure_at_any_step_keeps_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fail_at: int
) -> None:
    path = tmp_path / "weights.json"
    safe_write_text(path, "old")
    disk = Disk(fail_at)
    for name in ("fsync", "replace"):
        monkeypatch.setattr(os, name, disk.wrap(getattr(os, name)))
    monkeypatch.setattr(Path, "write_bytes", disk.wrap(Path.write_bytes))
    monkeypatch.setattr(Path, "read_bytes", disk.wrap(Path.read_bytes))
    failed = False
    try:
        safe_write_text(path, "new")
    except FileError as error:
        failed = True
        assert "weights.json" in str(error) and "No space left" in str(error)
    monkeypatch.undo()
    renamed = (
        fail_at >= 5
    )  # write, flush, read back, rename come first: a folder's flush that fails has the new file in place
    assert failed == (fail_at <= 5)
    assert path.read_text() == ("new" if renamed else "old")
    assert [p.name for p in tmp_path.iterdir()] == ["weights.json"]


def test_a_write_that_reads_back_wrong_is_refused(tmp_path: Path) -> None:
    def check(path: Path) -> None:
        raise OSError("the content differs")

    with pytest.raises(FileError, match="the content differs"):
        safe_write(tmp_path / "a.txt", lambda p: p.write_text("x"), check=check)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_appears_whole_or_not_at_all(tmp_path: Path) -> None:
    folder = tmp_path / "results"

    def good(target: Path) -> None:
        (target / "a").write_text("1")

    def bad(target: Path) -> None:
        (target / "a").write_text("2")
        raise OSError(28, "No space left on device")

    safe_write_folder(folder, good)
    with pytest.raises(FileError):
        safe_write_folder(folder, bad)
    assert (folder / "a").read_text() == "1"
    assert [p.name for p in tmp_path.iterdir()] == ["results"]


@pytest.mark.skipif(os.name == "nt", reason="SIGKILL is POSIX")
def test_a_process_killed_while_saving_leaves_a_whole_file(tmp_path: Path) -> None:
    path = tmp_path / "state.txt"
    loop = (
        "import sys, itertools; from myodrive.safe_write import safe_write_text\n"
        f"for i in itertools.count(): safe_write_text({str(path)!r}, str(i % 10) * 200_000); print(i, flush=True)"
    )
    for delay in (0.0, 0.003, 0.007, 0.011):
        process = subprocess.Popen([sys.executable, "-c", loop], stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        process.stdout.readline()
        time.sleep(delay)
        process.send_signal(signal.SIGKILL)
        process.wait()
        process.stdout.close()
        text = path.read_text()
        assert len(text) == 200_000 and len(set(text)) == 1
