"""What is done with recordings: look, convert, estimate, simulate, refine, train, predict."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from myodrive.cli.app import Already, Emg, File, Files, Muscle, Out, Rate, Units, app
from myodrive.cli.jobs import given_study, run_estimate, run_refine, run_train, show
from myodrive.cli.parsing import key_values, method_settings, muscle_pairs, one_of, reading_options, refuse_options
from myodrive.cli.terminal import progress

LEARN_BY_MINUTES = ("lfads", "autolfads")
WITHOUT_OPENSIM = ("legs", "arm")  # models of myo-sim, simulated in MuJoCo


@app.command()
def info(
    file: File, emg: Emg = None, already: Already = None, muscle: Muscle = None, rate_hz: Rate = None, units: Units = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:  # fmt: skip
    """Tell what is in a file: signals, rates, units, channels, the muscles they were recognised as, events."""
    from myodrive.io import describe

    summary = describe(file, **reading_options(emg, already, muscle, rate_hz, units))
    print(json.dumps(summary.to_dict(), indent=1) if as_json else summary)


@app.command()
def convert(
    source: Annotated[Path, typer.Argument(help="A recording of any format that myodrive reads, or a study.toml.")],
    target: Annotated[Path, typer.Argument(help="What to write; its suffix says in which format.")],
    emg: Emg = None, already: Already = None, muscle: Muscle = None, rate_hz: Rate = None,
    units: Units = None,
) -> None:  # fmt: skip
    """Read a file of one format and write it in another; of a study.toml all that it lists, with aligned clocks."""
    from myodrive.io import read, read_study, write

    options = reading_options(emg, already, muscle, rate_hz, units)
    if source.suffix.lower() == ".toml":
        study = read_study(source, **options)
        print(f"wrote {write(study[0] if len(study) == 1 else study, target)}")
    else:
        print(f"wrote {write(read(source, **options), target)}")


@app.command()
def estimate(
    files: Files,
    method: Annotated[str, typer.Option("--method", "-m", help="Methods, comma-separated, or 'all'.")] = (
        "low-pass,whitened,bayes,synergies"
    ),
    out: Out = None,
    emg: Emg = None,
    already: Already = None,
    muscle: Muscle = None,
    rate_hz: Rate = None,
    units: Units = None,
    mvc: Annotated[list[Path] | None, typer.Option("--mvc", help="Maximum contraction; may be repeated.")] = None,
    relative_to: Annotated[str | None, typer.Option(help="What 1 means: q95, task_maximum or mvc.")] = None,
    notch: Annotated[
        list[float] | None, typer.Option("--notch", help="Mains frequency in Hz to notch out, 2 Hz wide.")
    ] = None,
    ecg: Annotated[str | None, typer.Option("--ecg", help="Remove the ECG: template or high-pass.")] = None,
    ecg_muscle: Annotated[
        list[str] | None, typer.Option("--ecg-muscle", help="Only from these; may be repeated.")
    ] = None,
    set_: Annotated[
        list[str] | None, typer.Option("--set", help="low-pass.cutoff_hz=4, conditioning.highpass_hz=20, …")
    ] = None,
    minutes: Annotated[float | None, typer.Option(help="Time for lfads and autolfads to learn, each.")] = None,
    seed: Annotated[int, typer.Option(help="Of everything random.")] = 0,
    format_: Annotated[list[str] | None, typer.Option("--format", help="Beside NetCDF: sto, csv or mat.")] = None,
    summary: Annotated[bool, typer.Option("--summary", help="Also one tidy table: peaks, means, bursts, …")] = False,
    open_: Annotated[bool, typer.Option("--open", help="Open the report in the browser.")] = False,
) -> None:
    """Estimate the activation of every muscle from EMG, and write it with scores and a report."""
    conditioning: dict[str, Any] = {"notch_hz": [(f, 2.0) for f in notch or []]}
    conditioning |= {"ecg": ecg} if ecg else {}
    conditioning |= {"ecg_muscles": ecg_muscle, "ecg": ecg or "template"} if ecg_muscle else {}
    conditioning |= {"relative_to": relative_to or "mvc"} if relative_to or mvc else {}
    settings = method_settings(set_ or [])
    if minutes is not None:
        settings |= {name: {"minutes": minutes} | settings.get(name, {}) for name in LEARN_BY_MINUTES}
    conditioning |= settings.pop("conditioning", {})
    options = {
        "files": list(map(str, files)),
        "methods": [m.strip() for m in method.split(",") if m.strip()],
        "mvc": list(map(str, mvc or [])),
        "conditioning": conditioning,
        "settings": settings,
        "seed": seed,
        "formats": format_ or [],
        **reading_options(emg, already, muscle, rate_hz, units),
    }
    run_estimate(options, out, summary, open_)


@app.command()
def repeat(
    run: Annotated[Path, typer.Argument(help="The run.json of earlier results.")], out: Out = None,
    summary: Annotated[bool, typer.Option("--summary", help="Also the tidy table.")] = False,
) -> None:  # fmt: skip
    """Repeat an earlier `estimate` from its run.json, from the folder it was started in."""
    from myodrive.errors import FileError

    try:
        earlier = json.loads(run.read_text(encoding="utf-8"))
        options, data = earlier["options"], earlier["data"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise FileError("is not the run.json of earlier results.", where=str(run)) from error
    result = run_estimate(options, out or run.parent.with_name(run.parent.name + "-repeated"), summary)
    if result.run["data"] != data:
        print("NOTE: the recordings are not those of the earlier run: their SHA-256 differ.", file=sys.stderr)


@app.command()
def demo(
    out: Out = None,
    minutes: Annotated[float, typer.Option(help="Time for LFADS to learn, and for AutoLFADS.")] = 1.0,
    route: Annotated[
        str, typer.Option(help="emg; simulation: simulated activity refined; motion: activity from movement.")
    ] = "emg",
    open_: Annotated[bool, typer.Option("--open", help="Open the report in the browser.")] = False,
) -> None:
    """Simulate recordings whose activation is known, estimate it by every method of a route, and write the report."""
    from myodrive.errors import OptionError
    from myodrive.evaluation.demo import (
        DEMO_REFINEMENT,
        DEMO_TRAINING,
        write_demo_movements,
        write_demo_recording,
        write_demo_study,
    )

    if route not in ("emg", "motion", "simulation"):
        raise OptionError(f"there is no demo of '{route}'. There are: emg, motion, simulation.", where="--route")
    if route == "motion":
        folder = out or Path("myodrive-results") / "demo-motion"
        study = write_demo_movements(folder.with_name("demo-movements.nc"))
        print(f"simulated {study}", file=sys.stderr)
        run_train([study], {}, folder, open_, **DEMO_TRAINING)
        return
    if route == "simulation":
        folder = out or Path("myodrive-results") / "demo-refined"
        study = write_demo_study(folder.with_name("demo-study.nc"))
        print(f"simulated {study}", file=sys.stderr)
        run_refine([study], {}, folder, [], open_, **DEMO_REFINEMENT)
        return
    folder = out or Path("myodrive-results") / "demo"
    recording = write_demo_recording(folder.with_name("demo-recording.nc"))
    print(f"simulated {recording}", file=sys.stderr)
    settings = {name: {"minutes": minutes} for name in LEARN_BY_MINUTES}
    options = {"files": [str(recording)], "methods": ["all"], "settings": settings}
    run_estimate(options, folder, summary=True, open_=open_)


@app.command()
def simulate(
    model: Annotated[str, typer.Argument(help="An OpenSim model, .osim; or legs or arm, which need no OpenSim.")],
    movement: Annotated[
        Path | None,
        typer.Argument(
            help="Markers for an .osim; for legs and arm angles, with moments (a C3D of Plug-in Gait) or forces."
        ),
    ] = None,
    markers: Annotated[
        Path | None, typer.Option("--markers", help="The movement: .trc, .c3d or another file with markers.")
    ] = None,
    angles: Annotated[
        Path | None, typer.Option("--angles", help="Instead of markers: the model's coordinates, .mot or .sto.")
    ] = None,
    forces: Annotated[Path | None, typer.Option("--forces", help="Ground reactions: .mot or .sto.")] = None,
    static: Annotated[Path | None, typer.Option("--static", help="Standing still: scale the model from it.")] = None,
    mass_kg: Annotated[
        float | None,
        typer.Option("--mass-kg", help="Of the person; needed with --static, and for legs and arm with forces."),
    ] = None,
    height_m: Annotated[float | None, typer.Option("--height-m", help="Of the person, for legs and arm.")] = None,
    cutoff_hz: Annotated[
        float, typer.Option("--cutoff-hz", help="Low-pass of the angles; 12 to 15 for running.")
    ] = 6.0,
    start_s: Annotated[float | None, typer.Option("--start-s", help="Of the stretch to simulate.")] = None,
    end_s: Annotated[float | None, typer.Option("--end-s", help="Of the stretch to simulate.")] = None,
    marker_map: Annotated[
        str | None, typer.Option("--marker-map", help="rajagopal, plug-in-gait, or a .toml of your own.")
    ] = None,
    force_on: Annotated[
        list[str] | None, typer.Option("--force-on", help="FORCE=BODY that it acts on; may be repeated.")
    ] = None,
    static_optimization: Annotated[
        str, typer.Option("--static-optimization", help="Who solves it: own, opensim (slow), or none.")
    ] = "own",
    format_: Annotated[list[str] | None, typer.Option("--format", help="Beside NetCDF, each table as: sto.")] = None,
    out: Out = None,
) -> None:
    """Simulate muscle activity from motion capture and forces; keep every intermediate result, and a report."""
    from myodrive.errors import OptionError
    from myodrive.from_simulation.results import check_target, tell, write_simulation
    from myodrive.reporting.simulation_page import render_simulation

    named = Path(movement or markers or angles or "nothing").name.split(".")[0]
    folder = check_target(out or Path("myodrive-results") / f"simulated-{named}", format_ or [])
    options: dict[str, Any] = {
        "forces": forces,
        "mass_kg": mass_kg,
        "cutoff_hz": cutoff_hz,
        "start_s": start_s,
        "end_s": end_s,
        "force_on": key_values(force_on, "--force-on", "FORCE=BODY", "f1=calcn_r"),
        "static_optimization": static_optimization,
    }
    with progress() as step:
        if model in WITHOUT_OPENSIM:
            from myodrive.from_simulation.mujoco_simulate import simulate_with_mujoco

            refuse_options(f"the model {model}", {"--static": static, "--marker-map": marker_map, "--markers": markers})
            step("simulating", 0, 1)
            moving = one_of(movement, angles, "--angles")
            if moving is None:
                raise OptionError("the movement is missing.", where=model, remedy=f"myodrive simulate {model} walk.c3d")
            recording = simulate_with_mujoco(moving, model, height_m=height_m, **options)
        else:
            from myodrive.from_simulation.simulate import simulate as run

            refuse_options("an OpenSim model", {"--height-m": height_m})
            options |= {"angles": angles, "static": static, "marker_map": marker_map, "progress": step}
            recording = run(model, one_of(movement, markers, "--markers"), **options)
    written = write_simulation(recording, folder, formats=format_ or [], report=render_simulation(recording))
    for sentence in tell(recording):
        print(sentence)
    show(written / "report.html")


@app.command()
def refine(
    files: Files,
    model: Annotated[
        Path | None, typer.Option("--model", help="Results of an earlier run: learn nothing, use what it learned.")
    ] = None,
    method: Annotated[
        str, typer.Option("--method", "-m", help="refined (the best for each muscle), or one correction: ridge-fir, …")
    ] = "refined",
    pair: Annotated[
        list[str] | None, typer.Option("--pair", help="MEASURED=SIMULATED[,SIMULATED]; may be repeated.")
    ] = None,
    torque_bound: Annotated[
        float | None,
        typer.Option("--torque-bound", help="Also the nearest activity with torque errors under this share: 0.1."),
    ] = None,
    folds: Annotated[
        int, typer.Option(help="Held out in turn for the scores; 0 for none, which is as much faster.")
    ] = 5,
    out: Out = None,
    emg: Emg = None,
    already: Already = None,
    muscle: Muscle = None,
    rate_hz: Rate = None,
    units: Units = None,
    set_: Annotated[list[str] | None, typer.Option("--set", help="stdr-net.n_steps=250, refined.n_folds=3, …")] = None,
    format_: Annotated[list[str] | None, typer.Option("--format", help="Beside NetCDF: sto, csv or mat.")] = None,
    open_: Annotated[bool, typer.Option("--open", help="Open the report in the browser.")] = False,
) -> None:
    """Refine simulated muscle activity towards measured EMG, muscle by muscle, never worse than the simulation."""
    folder = out or Path("myodrive-results") / "refined"
    options: dict[str, Any] = {"model": model, "method": method, "n_folds": folds, "torque_bound": torque_bound}
    options["pairs"] = muscle_pairs(pair, files)
    reading = reading_options(emg, already, muscle, rate_hz, units)
    run_refine(files, reading, folder, format_ or [], open_, settings=method_settings(set_ or []), **options)


@app.command()
def train(
    files: Files,
    route: Annotated[str, typer.Option(help="motion: from movement to muscle activity.")] = "motion",
    method: Annotated[
        str, typer.Option("--method", "-m", help="lstm, tcn, transformer, ridge-fir or mean-curve.")
    ] = "lstm",
    folds: Annotated[
        int, typer.Option(help="To which movements and people are dealt for the scores; 0 for none, which is faster.")
    ] = 3,
    out: Out = None,
    emg: Emg = None,
    already: Already = None,
    muscle: Muscle = None,
    rate_hz: Rate = None,
    units: Units = None,
    set_: Annotated[list[str] | None, typer.Option("--set", help='lstm.n_unit=32, motion.inputs=["pose"], …')] = None,
    open_: Annotated[bool, typer.Option("--open", help="Open the report in the browser.")] = False,
) -> None:
    """Learn muscle activity from movement: recordings with both give a model, and its scores on what it has not seen."""
    from myodrive.errors import OptionError

    if route != "motion":
        raise OptionError(
            f"nothing is trained for '{route}'; there is motion.",
            where="--route",
            remedy="From EMG, `myodrive estimate` learns by itself; simulated activity is for `myodrive refine`.",
        )
    folder = out or Path("myodrive-results") / f"trained-{method}"
    reading = reading_options(emg, already, muscle, rate_hz, units)
    run_train(files, reading, folder, open_, method=method, settings=method_settings(set_ or []), n_folds=folds)


@app.command()
def predict(
    model: Annotated[Path, typer.Argument(help="The results' folder of an earlier train.")],
    files: Files,
    out: Out = None,
    rate_hz: Rate = None,
    format_: Annotated[list[str] | None, typer.Option("--format", help="Beside NetCDF: sto, csv or mat.")] = None,
    open_: Annotated[bool, typer.Option("--open", help="Open the report in the browser.")] = False,
) -> None:
    """Estimate muscle activity from movement alone, with a model that was trained before."""
    from myodrive.evaluation.motion.job import predict as run
    from myodrive.evaluation.saved_model import load_model
    from myodrive.reporting.motion_page import PREDICTION, write_prediction
    from myodrive.reporting.results_folder import check_results_folder

    folder = out or Path("myodrive-results") / "predicted"
    check_results_folder(folder, PREDICTION, format_ or [])
    fitted: Any = load_model(model, "from_motion", "train")
    recordings = list(given_study(files, reading_options(None, None, None, rate_hz, None)))
    with progress() as step:
        result = run(fitted, recordings, step)
    report = write_prediction(result, folder, format_ or [])
    for why in result.refused:
        print(f"LEFT OUT  {why}", file=sys.stderr)
    for recording, activation in zip(result.recordings, result.activations):
        print(f"{recording.label}: {', '.join(activation.muscles)}")
        for note in activation.notes:
            print(f"  {note}")
    show(report, open_)
    if result.refused:
        raise typer.Exit(1)
