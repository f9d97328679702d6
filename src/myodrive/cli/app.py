"""The application, the options that several commands have, and how it ends when something is refused."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(
    name="myodrive",
    help="How active is each muscle at each moment? Muscle activation from EMG, with intervals, scores and a report.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
bench = typer.Typer(
    help="Measure: every estimator against recordings whose activation is known.",
    no_args_is_help=True,
    rich_markup_mode=None,
)
app.add_typer(bench, name="bench")

Files = Annotated[list[Path], typer.Argument(help="Files, a folder, or a study.toml.")]
File = Annotated[Path, typer.Argument(help="A recording of any format that myodrive reads.")]
Emg = Annotated[list[str] | None, typer.Option("--emg", help="Name or pattern of the EMG channels: 'EMG.*'.")]
Already = Annotated[
    str | None, typer.Option("--already", help="The input is filtered, rectified or an envelope already.")
]
Muscle = Annotated[list[str] | None, typer.Option("--muscle", help="LABEL=MUSCLE where a label is not recognised.")]
Rate = Annotated[float | None, typer.Option("--rate-hz", help="Sampling rate, for text files that do not say.")]
Units = Annotated[str | None, typer.Option("--units", help="Unit of the EMG, for files that do not say: V, mV, uV.")]
Out = Annotated[Path | None, typer.Option("--out", "-o", help="The results' folder.")]


def main() -> None:
    """Run the command line; a refusal is one sentence and exit code 2."""
    from myodrive.errors import MyodriveError

    for stream in (sys.stdout, sys.stderr):  # a Windows console of another code page must not stop a µ
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")
    try:
        app(standalone_mode=True)
    except MyodriveError as error:
        print(f"myodrive: {error}", file=sys.stderr)
        sys.exit(2)


def _version(wanted: bool) -> bool:
    if wanted:
        from importlib.metadata import version

        print(f"myodrive {version('myodrive')}")
        raise typer.Exit()
    return wanted


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    pass
