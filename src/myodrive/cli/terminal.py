"""What is seen while a command runs, and what is said when it is stopped."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import typer


def console() -> Any:
    from rich.console import Console

    return Console()


class progress:
    """A bar with the time to completion, on stderr; nothing where stderr is no terminal."""

    def __enter__(self) -> Any:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
        )
        console = Console(stderr=True)
        self.bar = Progress(*columns, console=console, transient=True, disable=not console.is_terminal)
        self.bar.start()
        task = self.bar.add_task("starting", total=None)

        def step(what: str, done: float, total: float) -> None:
            self.bar.update(task, description=what, completed=done, total=total)

        return step

    def __exit__(self, *_: object) -> None:
        self.bar.stop()


@contextmanager
def stopping(where: str = "where it was") -> Iterator[None]:
    """Ctrl-C says that what is finished is kept, and where the same command goes on."""
    try:
        yield
    except KeyboardInterrupt:
        print(f"myodrive: stopped; no results were written. The same command goes on {where}.", file=sys.stderr)
        raise typer.Exit(130) from None
