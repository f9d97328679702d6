"""The child process in which HDF5 files of foreign making are read: the library crashes on some damaged ones.

python _read_child.py OUT_FOLDER MODULE FUNCTION FILE CHOICE.json
"""

import json
import sys
from pathlib import Path


def main(out: Path, module: str, function: str, file: str, choice: str) -> None:
    """Read a file with ``myodrive.io.MODULE.FUNCTION`` and leave the Recording packed in ``recording.npz``."""
    from myodrive.io.child import limit_memory

    limit_memory()
    import importlib

    import numpy as np

    from myodrive.errors import MyodriveError
    from myodrive.io.opening import Choice
    from myodrive.io.packing import pack

    try:
        reader = getattr(importlib.import_module(f"myodrive.io.{module}"), function)
        recording = reader(Path(file), Choice(**json.loads(choice)))
        np.savez(out / "recording.npz", **{k: np.asarray(v) for k, v in pack(recording).items()})  # type: ignore[arg-type]
    except MyodriveError as error:
        refusal = {"kind": type(error).__name__, "what": error.what, "remedy": error.remedy}
    except ModuleNotFoundError as error:
        refusal = {"kind": "missing", "what": str(error.name), "remedy": None}
    else:
        return
    (out / "refusal.json").write_text(json.dumps(refusal), encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]), *sys.argv[2:])
