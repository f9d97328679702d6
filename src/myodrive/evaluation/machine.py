"""The machine that figures were measured on, and the time of its processors."""

from __future__ import annotations

import os
import platform
import time
from pathlib import Path
from typing import Any

from myodrive.learning.processes import usable_cores


def describe_machine() -> dict[str, Any]:
    """System, processor and the number of cores that this process may use."""
    return {"system": platform.platform(), "processor": _processor(), "cores": usable_cores()}


def cpu_seconds() -> float:
    """CPU time of this process and of its children that have ended; on Windows, which does not tell, of it alone."""
    times = os.times()
    return time.process_time() + times.children_user + times.children_system


def _processor() -> str:
    """Its name as Linux tells it, which `platform` leaves out."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        return next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor()
