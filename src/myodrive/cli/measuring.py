"""What is measured: estimators on known answers, speed, published analyses."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from myodrive.cli.app import Already, Emg, Muscle, Out, Rate, Units, app, bench
from myodrive.cli.jobs import emg_experiment, given_study, motion_experiment, refinement_experiment
from myodrive.cli.parsing import method_settings, muscle_pairs, reading_options, refuse_options
from myodrive.cli.terminal import console, progress


@bench.command("truth")
def bench_truth(
    quick: Annotated[bool, typer.Option("--quick", help="A first look, within a minute.")] = False,
    method: Annotated[str, typer.Option("--method", "-m", help="Rows, comma-separated, or 'all'.")] = "all",
    scenario: Annotated[str, typer.Option(help="Scenarios, comma-separated, or 'all'.")] = "all",
    seeds: Annotated[int | None, typer.Option(help="How many: 0, 1, 2, … [default: 10]")] = None,
    snr_db: Annotated[list[float] | None, typer.Option(help="May be repeated. [default: 10, 20, 30]")] = None,
    n_muscles: Annotated[list[int] | None, typer.Option(help="May be repeated. [default: 4, 8, 16]")] = None,
    set_: Annotated[list[str] | None, typer.Option("--set", help="An option of a method: lfads.minutes=5")] = None,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write the rows as JSON.")] = None,
    folder: Annotated[Path, typer.Option(help="Where finished recordings are kept, to resume from.")] = Path(
        "myodrive-results/bench-truth"
    ),
) -> None:
    """Score every estimator on simulated recordings whose activation is known."""
    from myodrive.evaluation.truth_bench import run_truth_bench

    with progress() as step:
        result = run_truth_bench(
            quick=quick,
            methods=None if method == "all" else method.split(","),
            scenarios=None if scenario == "all" else scenario.split(","),
            seeds=None if seeds is None else range(seeds),
            snr_db=snr_db,
            n_muscles=n_muscles,
            settings=method_settings(set_ or []),
            folder=None if quick else folder,
            json_path=json_file,
            progress=step,
        )
    console().print(result.table())


@bench.command("speed")
def bench_speed(
    quick: Annotated[bool, typer.Option("--quick", help="The steps of emg_paper alone, within 50 s.")] = False,
    model: Annotated[list[str] | None, typer.Option(help="emg_paper, snel_lab or large; may be repeated.")] = None,
    torch_python: Annotated[
        str | None, typer.Option(help="An interpreter with PyTorch. [default: this one, if it has it]")
    ] = None,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write every round as JSON.")] = None,
) -> None:
    """Time LFADS on this machine, beside PyTorch code of the same mathematics where PyTorch is installed."""
    from myodrive.evaluation.speed_bench.runner import run_speed_bench

    with progress() as step:
        result = run_speed_bench(
            quick=quick, models=model, torch_python=torch_python, json_path=json_file, progress=step
        )
    console().print(result.table())


@app.command()
def experiment(
    name: Annotated[str, typer.Argument(help="Its name, 'list', or 'all'.")],
    files: Annotated[
        list[Path] | None,
        typer.Argument(help="Files, a folder, or a study.toml. [default: recordings that are simulated for it]"),
    ] = None,
    method: Annotated[
        list[str] | None,
        typer.Option(
            "--method",
            "-m",
            help="May be repeated. [default: low-pass, bayes, lfads; from movement mean-curve, ridge-fir, lstm]",
        ),
    ] = None,
    seeds: Annotated[
        int | None, typer.Option(help="Of simulated recordings: how many. [default: 3; from movement 1]")
    ] = None,
    unseen: Annotated[
        bool, typer.Option("--unseen", help="From EMG: estimate each sample by a fit that had not seen its EMG.")
    ] = False,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write everything that was found as JSON.")] = None,
    out: Out = None,
    emg: Emg = None,
    already: Already = None,
    muscle: Muscle = None,
    rate_hz: Rate = None,
    units: Units = None,
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", help="lfads.max_epochs=50, decoding.target=acceleration, new-person.seconds=[0,20], …"),
    ] = None,
    pair: Annotated[
        list[str] | None, typer.Option("--pair", help="running, walking: MEASURED=SIMULATED[,SIMULATED].")
    ] = None,
) -> None:
    """Run a published analysis on recordings, or on simulated ones whose right answer is known."""
    from myodrive.errors import MyodriveError, OptionError
    from myodrive.estimator import estimators
    from myodrive.evaluation.experiments import experiments
    from myodrive.evaluation.motion.plans import PLANS
    from myodrive.evaluation.refinement.experiments import REFINEMENTS
    from myodrive.reporting.experiment_page import refuse_foreign_experiment
    from myodrive.safe_write import safe_write_text

    known: dict[str, Any] = {**experiments(), **REFINEMENTS, **PLANS}
    if name == "list":
        for one in known.values():
            print(f"{one.name}: {one.question} Needs {one.needs}.")
        return
    if name not in known and name != "all":
        raise OptionError(f"no experiment '{name}'. There are: {', '.join(known)}; or list, or all.")
    if name == "all":
        refuse_options("the experiment all", {"--method": method, "--unseen": unseen, "--pair": pair})
    every = method_settings(set_ or [])
    given = list(given_study(files, reading_options(emg, already, muscle, rate_hz, units))) if files else []
    found: dict[str, Any] = {}
    for one in known if name == "all" else [name]:
        folder = (out or Path("myodrive-results")) / f"experiment-{one}" if name == "all" or not out else out
        refuse_foreign_experiment(folder)
        settings = every
        if name == "all":
            print(f"\n{one}: {known[one].question}")
            route = "from_motion" if one in PLANS else "from_simulation" if one in REFINEMENTS else "from_emg"
            settings = {m: o for m, o in every.items() if m in (one, *estimators(route))}
        try:
            if one in PLANS:
                refuse_options(f"the experiment {one}", {"--unseen": unseen, "--pair": pair})
                text = motion_experiment(one, given, method, settings, seeds or 1, folder)
            elif one in REFINEMENTS:
                refuse_options(f"the experiment {one}", {"--method": method, "--unseen": unseen})
                text = refinement_experiment(one, given, muscle_pairs(pair, files), settings, seeds or 3, folder)
            else:
                refuse_options(f"the experiment {one}", {"--pair": pair})
                text = emg_experiment(one, given, method, settings, seeds or 3, unseen, folder)
        except MyodriveError as error:
            if name != "all":
                raise
            print(f"{one} left out: {error}", file=sys.stderr)
            continue
        found[one] = json.loads(text)
    if json_file is not None:
        safe_write_text(json_file, json.dumps(found if name == "all" else found[name], indent=1))
