"""OpenSim behind a wall: each task runs in a child process with a limit on time and memory.

OpenSim kills its process on misuse and on some damaged models, and writes a log where it stands. Here a crash or a
hang is one sentence, and everything that it writes lies in a folder that is gone afterwards.
"""

from __future__ import annotations

import dataclasses
import io
import json
import tempfile
import xml.etree.ElementTree as ElementTree
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Shaped

from myodrive.errors import FileError, MissingExtraError, SignalError
from myodrive.io.child import spawn
from myodrive.io.opening import check_path

_CHILD = Path(__file__).with_name("_opensim_child.py")
STARTING_S = 60.0  # for loading the library and the model; 1 s was measured on an idle core
_MEMORY_LIMIT = 8 * 2**30  # bytes
_LOG_LINES = 3  # of OpenSim's own words in a message

Array = Shaped[np.ndarray, "..."]


@dataclasses.dataclass(frozen=True)
class Coordinate:
    """A degree of freedom of a model."""

    name: str
    units: str  # "rad", "m", or "" where it is coupled to others
    free: bool  # neither locked nor prescribed nor coupled to another
    of_ground: bool  # of the joint that ties the model to the ground: its moments are residuals


@dataclasses.dataclass(frozen=True)
class Model:
    """An OpenSim model: what is in it, by name."""

    path: Path
    mass_kg: float
    markers: dict[str, str]  # marker: its body
    bodies: dict[str, float]  # body: mass in kg
    coordinates: tuple[Coordinate, ...]
    muscles: tuple[str, ...]

    @property
    def free(self) -> list[Coordinate]:
        """The coordinates that a motion must give."""
        return [c for c in self.coordinates if c.free]


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What a task gave back."""

    answer: dict[str, Any]
    arrays: dict[str, Array]
    files: dict[str, bytes]
    log: str


def run_opensim(
    task: str,
    model: Path,
    options: Mapping[str, Any],
    arrays: Mapping[str, Array] | None = None,
    *,
    time_limit_s: float = STARTING_S,
) -> Outcome:
    """Run one task of ``_opensim_child.py``.

    Parameters
    ----------
    task : str
        Its function there.
    model : path
        The .osim file.
    options, arrays
        What the task reads; a path among the options goes over as its absolute name.
    time_limit_s : float
        After which the child is ended.

    Raises
    ------
    MissingExtraError
        If the package `opensim` is not installed.
    SignalError, FileError
        If the task refused, or the child crashed or ran past its time.
    """
    doing = f"OpenSim's {task.replace('_', ' ')}"
    with tempfile.TemporaryDirectory(prefix="myodrive-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        job = {"model": model, **options}
        (folder / "job.json").write_text(json.dumps(job, default=lambda p: str(Path(p).resolve())), encoding="utf-8")
        named: dict[str, Any] = dict(arrays or {})
        np.savez(folder / "arrays.npz", **named)
        done = spawn(_CHILD, [task, folder], time_limit_s=time_limit_s, memory_limit=_MEMORY_LIMIT)
    if done is None:
        raise FileError(
            f"{doing} did not end within {time_limit_s:.0f} s.",
            where=model,
            remedy="Try a shorter stretch of the trial, or again when the machine is less busy; if that does not help, "
            "the model is at fault: open it in OpenSim.",
        )
    log = done.output
    if "refusal.json" in done.files:
        raise _refusal(json.loads(done.files["refusal.json"]), doing, model)
    if done.returncode != 0 or "answer.json" not in done.files:
        raise FileError(_say_crash(done.returncode, log, doing), where=model, remedy="Open the model in OpenSim.")
    with np.load(io.BytesIO(done.files["arrays.npz"]), allow_pickle=False) as stored:
        results = dict(stored)
    return Outcome(json.loads(done.files["answer.json"]), results, done.files, log)


def read_model(path: str | Path) -> Model:
    """What is in an .osim file.

    Raises
    ------
    FileError
        If it is missing, is no OpenSim model, or OpenSim cannot build it.
    SignalError
        If a muscle has no path.
    """
    path = check_path(path)
    try:
        root = ElementTree.parse(path).getroot()
    except ElementTree.ParseError as error:
        raise FileError(
            f"is no whole XML file, as an OpenSim model is ({error}).", where=path, remedy="Copy it again."
        ) from error
    if root.find("Model") is None:
        raise FileError(
            f"holds no OpenSim model (its first element is <{root[0].tag if len(root) else root.tag}>).",
            where=path,
            remedy="Give the .osim file itself, not a setup file of one of OpenSim's tools.",
        )
    said = run_opensim("describe", path, {}).answer
    coordinates = tuple(Coordinate(name, **about) for name, about in said["coordinates"].items())
    return Model(path, said["mass_kg"], said["markers"], said["bodies"], coordinates, tuple(said["muscles"]))


# -- inside ----------------------------------------------------------------------------------------------------------


def _refusal(said: dict[str, str], doing: str, model: Path) -> MissingExtraError | SignalError:
    if said["kind"] == "missing":
        return MissingExtraError("Simulation with OpenSim", "opensim")
    if said["by"] == "Refusal":
        return SignalError(said["what"], where=model, remedy=said["remedy"])
    lines = [line.strip() for line in said["what"].splitlines() if line.strip()]
    # OpenSim's exceptions end with the place in its own source, which helps nobody here.
    words = [line for line in lines if not line.startswith(("Thrown at", "In Object", "std::exception"))]
    return SignalError(f"{doing} refused: {' '.join(words[:_LOG_LINES])}", where=model)


def _say_crash(returncode: int, log: str, doing: str) -> str:
    lines = [line.strip() for line in log.splitlines() if line.strip() and "Couldn't find file" not in line]
    if any("MemoryError" in line or "bad_alloc" in line for line in lines[-_LOG_LINES:]):
        return f"{doing} asks for more than {_MEMORY_LIMIT / 2**30:.0f} GiB of memory."
    said = f" It last said: {' '.join(lines[-_LOG_LINES:])}" if lines else ""
    how = f"crashed (signal {-returncode})" if returncode < 0 else f"stopped (exit code {returncode})"
    return f"{doing} {how} on this model.{said}"
