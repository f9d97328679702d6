"""The machine that figures were measured on."""

from __future__ import annotations

import platform
from pathlib import Path
from typing import Any

from myodrive.learning.processes import usable_cores


def describe_machine() -> dict[str, Any]:
    """System, processor and the number of cores that this process may use."""
    return {"system": platform.platform(), "processor": _processor(), "cores": usable_cores()}


def _processor() -> str:
    """Its name as Linux tells it, which `platform` leaves out."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        return next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor()
