"""Imports run downwards only, and a route never imports another."""

from __future__ import annotations

import ast
from pathlib import Path

import myodrive

ROOT = Path(myodrive.__file__).parent

LAYERS = [  # from the ground up; rooms on one line do not import each other, except within themselves
    ("errors",),
    ("safe_write",),
    ("recording",),
    ("activation", "muscles"),
    ("conditioning",),
    ("clocks",),
    ("io",),
    ("learning", "trials"),
    ("estimator",),
    ("paired",),
    ("from_emg", "from_motion", "from_simulation"),
    ("truth",),
    ("evaluation", "streaming"),
    ("reporting",),
    ("cli",),
]
RANK = {room: i for i, rooms in enumerate(LAYERS) for room in rooms}


def imports() -> list[tuple[str, str, str]]:
    """(file, its room, the room it imports) for every import of one's own, wherever in the file it stands."""
    found = []
    for file in ROOT.rglob("*.py"):
        room = file.relative_to(ROOT).parts[0].removesuffix(".py")
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            names = []
            if isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
                names = [node.module]
            elif isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            for name in names:
                parts = name.split(".")
                if parts[0] == "myodrive" and len(parts) > 1:
                    found.append((str(file.relative_to(ROOT)), room, parts[1]))
    return found


def test_every_room_has_its_layer() -> None:
    rooms = {p.name.removesuffix(".py") for p in ROOT.iterdir() if p.suffix == ".py" or (p / "__init__.py").exists()}
    assert rooms - {"__init__"} <= set(RANK)


def test_imports_run_downwards_only() -> None:
    upwards = [
        (file, target)
        for file, room, target in imports()
        if room != "__init__" and room != target and RANK[target] >= RANK[room]
    ]
    assert upwards == []
