"""The model in the results of an earlier command."""

from __future__ import annotations

import json
from pathlib import Path

from myodrive.errors import FileError
from myodrive.estimator import Estimator, estimators

MODEL = "model"  # the folder in the results' folder


def load_model(folder: str | Path, route: str, command: str) -> Estimator:
    """The estimator of a route that an earlier run saved: the results' folder, or the folder `MODEL` in it.

    Parameters
    ----------
    route : str
        "from_motion" or "from_simulation".
    command : str
        That makes such results, for the refusal.

    Raises
    ------
    FileError
        If the folder holds no model of this route.
    """
    folder = Path(folder)
    folder = folder / MODEL if (folder / MODEL / "estimator.json").is_file() else folder
    try:
        method = json.loads((folder / "estimator.json").read_text(encoding="utf-8"))["method"]
        cls = estimators(route)[method]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise FileError(
            f"holds no model that `myodrive {command}` saved.",
            where=str(folder),
            remedy=f"Pass the results' folder of an earlier `myodrive {command}`, or its folder '{MODEL}'.",
        ) from error
    return cls.load(folder)
