"""The command line: parses, calls, prints. Heavy packages are imported inside the commands, so help answers at once."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from math import isnan
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from myodrive.evaluation.job import JobOptions
    from myodrive.evaluation.result import StudyResult
    from myodrive.recording import Study

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
LEARN_BY_MINUTES = ("lfads", "autolfads")
WITHOUT_OPENSIM = ("legs", "arm")  # models of myo-sim, simulated in MuJoCo
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


@app.command()
def info(
    file: File, emg: Emg = None, already: Already = None, muscle: Muscle = None, rate_hz: Rate = None, units: Units = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:  # fmt: skip
    """Tell what is in a file: signals, rates, units, channels, the muscles they were recognised as, events."""
    from myodrive.io import describe

    summary = describe(file, **_reading(emg, already, muscle, rate_hz, units))
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

    options = _reading(emg, already, muscle, rate_hz, units)
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
        **_reading(emg, already, muscle, rate_hz, units),
    }
    _run(options, out, summary, open_)


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
    result = _run(options, out or run.parent.with_name(run.parent.name + "-repeated"), summary)
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
        _train([study], {}, folder, open_, **DEMO_TRAINING)
        return
    if route == "simulation":
        folder = out or Path("myodrive-results") / "demo-refined"
        study = write_demo_study(folder.with_name("demo-study.nc"))
        print(f"simulated {study}", file=sys.stderr)
        _refine([study], {}, folder, [], open_, **DEMO_REFINEMENT)
        return
    folder = out or Path("myodrive-results") / "demo"
    recording = write_demo_recording(folder.with_name("demo-recording.nc"))
    print(f"simulated {recording}", file=sys.stderr)
    settings = {name: {"minutes": minutes} for name in LEARN_BY_MINUTES}
    options = {"files": [str(recording)], "methods": ["all"], "settings": settings}
    _run(options, folder, summary=True, open_=open_)


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
        "force_on": _pairs(force_on, "--force-on", "FORCE=BODY", "f1=calcn_r"),
        "static_optimization": static_optimization,
    }
    with _progress() as step:
        if model in WITHOUT_OPENSIM:
            from myodrive.from_simulation.mujoco_simulate import simulate_with_mujoco

            _refuse_options(
                f"the model {model}", {"--static": static, "--marker-map": marker_map, "--markers": markers}
            )
            step("simulating", 0, 1)
            moving = _one_of(movement, angles, "--angles")
            if moving is None:
                raise OptionError("the movement is missing.", where=model, remedy=f"myodrive simulate {model} walk.c3d")
            recording = simulate_with_mujoco(moving, model, height_m=height_m, **options)
        else:
            from myodrive.from_simulation.simulate import simulate as run

            _refuse_options("an OpenSim model", {"--height-m": height_m})
            options |= {"angles": angles, "static": static, "marker_map": marker_map, "progress": step}
            recording = run(model, _one_of(movement, markers, "--markers"), **options)
    written = write_simulation(recording, folder, formats=format_ or [], report=render_simulation(recording))
    for sentence in tell(recording):
        print(sentence)
    print(f"report: {written / 'report.html'}")


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
    options["pairs"] = _muscle_pairs(pair, files)
    reading = _reading(emg, already, muscle, rate_hz, units)
    _refine(files, reading, folder, format_ or [], open_, settings=method_settings(set_ or []), **options)


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
    reading = _reading(emg, already, muscle, rate_hz, units)
    _train(files, reading, folder, open_, method=method, settings=method_settings(set_ or []), n_folds=folds)


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
    recordings = list(_study(files, _reading(None, None, None, rate_hz, None)))
    with _progress() as step:
        result = run(fitted, recordings, step)
    report = write_prediction(result, folder, format_ or [])
    for why in result.refused:
        print(f"LEFT OUT  {why}", file=sys.stderr)
    for recording, activation in zip(result.recordings, result.activations):
        print(f"{recording.label}: {', '.join(activation.muscles)}")
        for note in activation.notes:
            print(f"  {note}")
    print(f"report: {report}")
    if open_:
        typer.launch(str(report))
    if result.refused:
        raise typer.Exit(1)


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

    with _progress() as step:
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
    _console().print(result.table())


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
        _refuse_options("the experiment all", {"--method": method, "--unseen": unseen, "--pair": pair})
    every = method_settings(set_ or [])
    given = list(_study(files, _reading(emg, already, muscle, rate_hz, units))) if files else []
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
                _refuse_options(f"the experiment {one}", {"--unseen": unseen, "--pair": pair})
                text = _motion_experiment(one, given, method, settings, seeds or 1, folder)
            elif one in REFINEMENTS:
                _refuse_options(f"the experiment {one}", {"--method": method, "--unseen": unseen})
                text = _refinement_experiment(one, given, _muscle_pairs(pair, files), settings, seeds or 3, folder)
            else:
                _refuse_options(f"the experiment {one}", {"--pair": pair})
                text = _emg_experiment(one, given, method, settings, seeds or 3, unseen, folder)
        except MyodriveError as error:
            if name != "all":
                raise
            print(f"{one} left out: {error}", file=sys.stderr)
            continue
        found[one] = json.loads(text)
    if json_file is not None:
        safe_write_text(json_file, json.dumps(found if name == "all" else found[name], indent=1))


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

    with _progress() as step:
        result = run_speed_bench(
            quick=quick, models=model, torch_python=torch_python, json_path=json_file, progress=step
        )
    _console().print(result.table())


def _run(options: dict[str, Any], out: Path | None, summary: bool, open_: bool = False) -> StudyResult:
    from myodrive.evaluation.job import run_job
    from myodrive.reporting.results_folder import RUN, check_results_folder, stem_of, write_results

    job = _job(options)
    folder = out or Path("myodrive-results") / stem_of(str(Path(job.files[0]).resolve()))
    check_results_folder(folder, RUN)
    unfinished = folder.with_name(f"{folder.name}.unfinished")
    with _stopping("with the training"), _progress() as step:
        result = run_job(job, step, unfinished=unfinished)
        step("report", 1, 1)
        write_results(result, folder, summary=summary)
    shutil.rmtree(unfinished, ignore_errors=True)
    _tell(result, folder)
    if open_:
        typer.launch(str(folder / "report.html"))
    if result.failed:
        raise typer.Exit(1)
    return result


def _refine(
    files: list[Path], reading: dict[str, Any], folder: Path, formats: list[str], open_: bool, **options: Any
) -> None:
    from myodrive.evaluation.refinement.job import refine_study
    from myodrive.reporting.refinement_page import RUN, write_refinement
    from myodrive.reporting.results_folder import check_results_folder

    check_results_folder(folder, RUN, formats)
    recordings = list(_study(files, reading))
    kept = folder.with_name(f"{folder.name}.unfinished")
    with _stopping(), _progress() as step:
        result = refine_study(recordings, folder=kept, progress=step, **options)
    report = write_refinement(result, folder, formats)
    shutil.rmtree(kept, ignore_errors=True)
    if result.comparison:
        for table in result.comparison.tables():
            _console().print(table)
    for sentence in (*result.reasons, *result.verdict):
        print(sentence)
    print(f"report: {report}")
    if open_:
        typer.launch(str(report))


def _train(files: list[Path], reading: dict[str, Any], folder: Path, open_: bool, **options: Any) -> None:
    from myodrive.evaluation.motion.job import train_study
    from myodrive.reporting.motion_page import TRAINING, write_training
    from myodrive.reporting.results_folder import check_results_folder

    check_results_folder(folder, TRAINING)
    recordings = list(_study(files, reading))
    kept = folder.with_name(f"{folder.name}.unfinished")
    with _stopping(), _progress() as step:
        result = train_study(recordings, folder=kept, progress=step, **options)
    report = write_training(result, folder)
    shutil.rmtree(kept, ignore_errors=True)
    if result.scores is not None:
        _console().print(result.scores.table())
    for sentence in result.verdict:
        print(sentence)
    print(f"model: {folder}")
    print(f"report: {report}")
    if open_:
        typer.launch(str(report))


def _methods(method: list[str] | None) -> dict[str, list[str]]:
    """The methods that were asked for, each of which may be several with commas between; nothing where none was."""
    return {"methods": [m.strip() for one in method for m in one.split(",")]} if method else {}


def _motion_experiment(
    name: str, recordings: list[Any], method: list[str] | None, settings: dict[str, Any], seeds: int, folder: Path
) -> str:
    """Run it, print and write what was found; the same as JSON."""
    from myodrive.evaluation.motion.experiments import run_motion_experiment
    from myodrive.reporting.motion_page import write_motion_findings

    with _stopping(), _progress() as step:
        found = run_motion_experiment(
            name,
            recordings,
            **_methods(method),
            seeds=range(1000, 1000 + seeds),
            options=settings.get(name, {}),
            settings={m: o for m, o in settings.items() if m != name},
            folder=folder.with_name(f"{folder.name}.findings"),
            progress=step,
        )
    _console().print(found.scores.table())
    for sentence in found.verdict:
        print(sentence)
    print(f"report: {write_motion_findings(found, folder)}")
    return found.to_json()


def _emg_experiment(
    name: str,
    recordings: list[Any],
    method: list[str] | None,
    settings: dict[str, Any],
    seeds: int,
    unseen: bool,
    folder: Path,
) -> str:
    """Run it, print and write what was found; the same as JSON."""
    from myodrive.evaluation.experiments import run_experiment
    from myodrive.reporting.experiment_page import write_experiment

    with _progress() as step:
        result = run_experiment(
            name,
            recordings,
            **_methods(method),
            seeds=range(1000, 1000 + seeds),
            options=settings.get(name, {}),
            settings={m: o for m, o in settings.items() if m != name},
            unseen=unseen,
            folder=folder.with_name(f"{folder.name}.findings"),
            progress=step,
        )
    _console().print(result.table())
    for sentence in result.verdict:
        print(sentence)
    for row in result.rows:
        if row["why"]:
            print(f"{row['method']} left out: {row['why']}", file=sys.stderr)
    print(f"report: {write_experiment(result, folder)}")
    return result.to_json()


def _refinement_experiment(
    name: str,
    recordings: list[Any],
    pairs: dict[str, tuple[str, ...]],
    settings: dict[str, dict[str, Any]],
    seeds: int,
    folder: Path,
) -> str:
    """Run it, print and write what was found; the same as JSON."""
    from myodrive.evaluation.refinement.experiments import run_refinement_experiment
    from myodrive.reporting.refinement_page import write_findings

    with _stopping(), _progress() as step:
        found = run_refinement_experiment(
            name,
            recordings,
            pairs=pairs,
            settings=settings,
            seeds=range(1000, 1000 + seeds),
            folder=folder.with_name(f"{folder.name}.findings"),
            progress=step,
        )
    for table in found.comparison.tables():
        _console().print(table)
    for sentence in found.verdict:
        print(sentence)
    print(f"report: {write_findings(found, folder)}")
    return found.to_json()


@contextmanager
def _stopping(where: str = "where it was") -> Iterator[None]:
    """Ctrl-C says that what is finished is kept, and where the same command goes on."""
    try:
        yield
    except KeyboardInterrupt:
        print(f"myodrive: stopped; no results were written. The same command goes on {where}.", file=sys.stderr)
        raise typer.Exit(130) from None


def _study(files: list[Path], reading: dict[str, Any]) -> Study:
    """All recordings; of one file also a study that was written as .nc."""
    from myodrive.io import read_study

    return read_study(files[0] if len(files) == 1 else files, **reading)


def _muscle_pairs(pair: list[str] | None, files: list[Path] | None) -> dict[str, tuple[str, ...]]:
    """Those of the study.toml; what is given on the command line comes first."""
    from myodrive.io import study_pairs

    given = _pairs(pair, "--pair", "MEASURED=SIMULATED[,SIMULATED]", "'Hams=semimem_r,semiten_r'")
    listed = {muscle: tuple(name.strip() for name in names.split(",")) for muscle, names in given.items()}
    return study_pairs(files or []) | listed


def _refuse_options(what: str, given: dict[str, Any]) -> None:
    from myodrive.errors import OptionError

    for flag, value in given.items():
        if value:
            raise OptionError(f"{what} does not take it.", where=flag)


def _one_of(movement: Path | None, option: Path | None, flag: str) -> Path | None:
    from myodrive.errors import OptionError

    if movement and option:
        raise OptionError(f"the movement is given twice: {movement} and {option}.", where=flag)
    return movement or option


def _job(options: dict[str, Any]) -> JobOptions:
    """The options, checked; a wrong one is named as the flag that gave it."""
    from pydantic import ValidationError

    from myodrive.errors import OptionError
    from myodrive.evaluation.job import JobOptions

    flags = {"methods": "method", "formats": "format", "muscles": "muscle", "notch_hz": "notch"}
    try:
        return JobOptions.model_validate(options)
    except ValidationError as error:
        fault = error.errors()[0]
        names = [str(place) for place in fault["loc"] if isinstance(place, str)]
        name = names[-1] if names else "options"
        flag = "--" + flags.get(name, name).replace("_", "-")
        raise OptionError(f"{fault['msg'].lower()} (found {fault['input']!r}).", where=flag) from error


def _tell(result: StudyResult, folder: Path) -> None:
    """What came out, what did not, and where the report is."""
    for recording in result.recordings:
        n_muscle = recording.recording["emg"].sizes["muscle"]
        n_masked = len({f.muscle for f in recording.findings if f.masked and isnan(f.start_s) and f.muscle})
        kept = f"; {n_masked} of {n_muscle} channels left out" if n_masked else ""
        print(f"{recording.recording.label}: {', '.join(recording.estimates) or 'nothing'}{kept}")
        for why in dict.fromkeys(recording.skipped.values()):
            print(f"  {', '.join(m for m, reason in recording.skipped.items() if reason == why)} left out: {why}")
    for why in result.failed.values():
        print(f"FAILED  {why}", file=sys.stderr)
    print(f"report: {folder / 'report.html'}")


def _reading(
    emg: list[str] | None, already: str | None, muscle: list[str] | None, rate_hz: float | None, units: str | None
) -> dict[str, Any]:
    """The options of reading that were given, by the names that `read` uses."""
    muscles = _pairs(muscle, "--muscle", "LABEL=MUSCLE", "'Ch 3=left soleus'")
    given = {"emg": emg, "already": already, "muscles": muscles, "rate_hz": rate_hz, "units": units}
    return {k: v for k, v in given.items() if v not in (None, {})}


def _pairs(pairs: list[str] | None, flag: str, form: str, example: str) -> dict[str, str]:
    """`key=value`, given once or more."""
    from myodrive.errors import OptionError

    found = {}
    for pair in pairs or []:
        key, equals, value = pair.partition("=")
        if not equals:
            raise OptionError(f"'{pair}' is not {form}.", where=flag, remedy=f"Example: {flag} {example}.")
        found[key] = value
    return found


def method_settings(pairs: list[str]) -> dict[str, dict[str, Any]]:
    """`method.option=value` into {method: {option: value}}; a value is read as JSON where it can be."""
    from myodrive.errors import OptionError

    settings: dict[str, dict[str, Any]] = {}
    for pair in pairs:
        name, equals, text = pair.partition("=")
        method, dot, option = name.partition(".")
        if not (equals and dot):
            raise OptionError(
                f"'{pair}' is not METHOD.OPTION=VALUE.", where="--set", remedy="Example: --set low-pass.cutoff_hz=4."
            )
        try:
            value = json.loads(text)
        except ValueError:
            value = text
        settings.setdefault(method, {})[option] = value
    return settings


def _console() -> Any:
    from rich.console import Console

    return Console()


class _progress:
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
