"""The child process in which ezc3d runs. It imports nothing of this package, so that it starts in a tenth of a second.

python _c3d_child.py OUT_FOLDER read FILE
python _c3d_child.py OUT_FOLDER write CONTENT.npz FILE
"""

import json
import os
import sys
from pathlib import Path

try:  # the limit must stand before the library is loaded
    import resource

    limit = int(os.environ["MYODRIVE_MEMORY_LIMIT"])
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
except (ImportError, KeyError, ValueError, OSError):
    pass  # Windows has no such limit and macOS may refuse it: the time limit must do there

import ezc3d
import numpy as np


def read(path: str, out: str) -> None:
    """Points, analogs and parameters of a C3D file, into ``arrays.npz`` and ``parameters.json``."""
    file = ezc3d.c3d(path)
    parameters = {
        group: {
            name: np.asarray(item["value"]).tolist()
            for name, item in members.items()
            if isinstance(item, dict) and "value" in item and not name.startswith("__")
        }
        for group, members in file["parameters"].items()
    }
    header = {part: dict(file["header"][part]) for part in ("points", "analogs")}
    points = file["data"]["points"][:3]
    # A negative residual is the format's word for "this marker was not seen".
    seen = file["data"]["meta_points"]["residuals"][0] >= 0
    points = np.where(seen[None], points, np.nan) if points.size else points
    np.savez(Path(out, "arrays.npz"), points=points, analogs=file["data"]["analogs"][0])
    with Path(out, "parameters.json").open("w", encoding="utf-8", errors="surrogateescape") as stream:
        json.dump({"parameters": parameters, "header": header}, stream)


def write(content: str, path: str) -> None:
    """A C3D file from ``points`` (3, point, frame), ``analogs`` (channel, sample) and the parameters in ``parameters``."""
    with np.load(content, allow_pickle=False) as arrays:
        points, analogs = arrays["points"], arrays["analogs"]
        parameters = json.loads(str(arrays["parameters"]))
    file = ezc3d.c3d()
    missing = np.isnan(points).any(axis=0)
    # Without markers the points must still have one (empty) entry for each frame, or the library divides by zero.
    file["data"]["points"] = np.concatenate([points, np.ones((1, *points.shape[1:]))])
    file["data"]["meta_points"]["residuals"] = np.where(missing, -1.0, 0.0)[None]
    file["data"]["meta_points"]["camera_masks"] = np.zeros((7, *missing.shape), dtype=bool)
    file["data"]["analogs"] = analogs[None]
    for group, members in parameters.items():
        for name, value in members.items():
            if group in ("POINT", "ANALOG") and name in file["parameters"].get(group, {}):
                file["parameters"][group][name]["value"] = value
            else:
                file.add_parameter(group, name, value)
    file.write(path)


if __name__ == "__main__":
    out, task, *arguments = sys.argv[1:]
    try:
        read(arguments[0], out) if task == "read" else write(*arguments)
    except (OSError, ValueError, RuntimeError, IndexError, KeyError, TypeError) as error:
        said = " ".join(str(error).split()) or type(error).__name__
        what = f"cannot be {'read' if task == 'read' else 'written'} as C3D ({said})."
        refusal = json.dumps({"kind": "FileError", "what": what, "remedy": "Export it again."})
        Path(out, "refusal.json").write_text(refusal, encoding="utf-8")
