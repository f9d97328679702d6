"""Run what a command asks for, print what came out, and write it."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterable
from math import isnan
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from myodrive.cli.parsing import job_options
from myodrive.cli.terminal import console, progress, stopping

if TYPE_CHECKING:
    from myodrive.evaluation.result import StudyResult
    from myodrive.recording import Study


def run_estimate(options: dict[str, Any], out: Path | None, summary: bool, open_: bool = False) -> StudyResult:
    from myodrive.evaluation.job import run_job
    from myodrive.reporting.results_folder import RUN, check_results_folder, stem_of, write_results

    job = job_options(options)
    folder = out or Path("myodrive-results") / stem_of(str(Path(job.files[0]).resolve()))
    check_results_folder(folder, RUN)
    unfinished = folder.with_name(f"{folder.name}.unfinished")
    with stopping("with the training"), progress() as step:
        result = run_job(job, step, unfinished=unfinished)
        step("report", 1, 1)
        write_results(result, folder, summary=summary)
    shutil.rmtree(unfinished, ignore_errors=True)
    tell_result(result)
    show(folder / "report.html", open_)
    if result.failed:
        raise typer.Exit(1)
    return result


def run_refine(
    files: list[Path], reading: dict[str, Any], folder: Path, formats: list[str], open_: bool, **options: Any
) -> None:
    from myodrive.evaluation.refinement.job import refine_study
    from myodrive.reporting.refinement_page import RUN, write_refinement
    from myodrive.reporting.results_folder import check_results_folder

    check_results_folder(folder, RUN, formats)
    recordings = list(given_study(files, reading))
    kept = folder.with_name(f"{folder.name}.unfinished")
    with stopping(), progress() as step:
        result = refine_study(recordings, folder=kept, progress=step, **options)
    report = write_refinement(result, folder, formats)
    shutil.rmtree(kept, ignore_errors=True)
    if result.comparison:
        for table in result.comparison.tables():
            console().print(table)
    tell((*result.reasons, *result.verdict))
    show(report, open_)


def run_train(files: list[Path], reading: dict[str, Any], folder: Path, open_: bool, **options: Any) -> None:
    from myodrive.evaluation.motion.job import train_study
    from myodrive.reporting.motion_page import TRAINING, write_training
    from myodrive.reporting.results_folder import check_results_folder

    check_results_folder(folder, TRAINING)
    recordings = list(given_study(files, reading))
    kept = folder.with_name(f"{folder.name}.unfinished")
    with stopping(), progress() as step:
        result = train_study(recordings, folder=kept, progress=step, **options)
    report = write_training(result, folder)
    shutil.rmtree(kept, ignore_errors=True)
    if result.scores is not None:
        console().print(result.scores.table())
    tell((*result.verdict, f"model: {folder}"))
    show(report, open_)


def motion_experiment(
    name: str, recordings: list[Any], method: list[str] | None, settings: dict[str, Any], seeds: int, folder: Path
) -> str:
    """Run it, print and write what was found; the same as JSON."""
    from myodrive.evaluation.motion.experiments import run_motion_experiment
    from myodrive.reporting.motion_page import write_motion_findings

    with stopping(), progress() as step:
        found = run_motion_experiment(
            name,
            recordings,
            **asked(name, method, settings, seeds),
            folder=folder.with_name(f"{folder.name}.findings"),
            progress=step,
        )
    console().print(found.scores.table())
    tell(found.verdict)
    show(write_motion_findings(found, folder))
    return found.to_json()


def emg_experiment(
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

    with progress() as step:
        result = run_experiment(
            name,
            recordings,
            **asked(name, method, settings, seeds),
            unseen=unseen,
            folder=folder.with_name(f"{folder.name}.findings"),
            progress=step,
        )
    console().print(result.table())
    tell(result.verdict)
    for row in result.rows:
        if row["why"]:
            print(f"{row['method']} left out: {row['why']}", file=sys.stderr)
    show(write_experiment(result, folder))
    return result.to_json()


def refinement_experiment(
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

    with stopping(), progress() as step:
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
        console().print(table)
    tell(found.verdict)
    show(write_findings(found, folder))
    return found.to_json()


def asked(name: str, method: list[str] | None, settings: dict[str, Any], seeds: int) -> dict[str, Any]:
    """What an experiment is asked with: its own options apart from those of methods, which may stand with commas between."""
    chosen = {"methods": [m.strip() for one in method for m in one.split(",")]} if method else {}
    of_methods = {m: o for m, o in settings.items() if m != name}
    return {**chosen, "seeds": range(1000, 1000 + seeds), "options": settings.get(name, {}), "settings": of_methods}


def given_study(files: list[Path], reading: dict[str, Any]) -> Study:
    """All recordings; of one file also a study that was written as .nc."""
    from myodrive.io import read_study

    return read_study(files[0] if len(files) == 1 else files, **reading)


def tell(sentences: Iterable[str]) -> None:
    for sentence in sentences:
        print(sentence)


def show(report: Path, open_: bool = False) -> None:
    """Say where the report is, and open it where that was asked for."""
    print(f"report: {report}")
    if open_:
        typer.launch(str(report))


def tell_result(result: StudyResult) -> None:
    """What came out of each recording, and what did not."""
    for recording in result.recordings:
        n_muscle = recording.recording["emg"].sizes["muscle"]
        n_masked = len({f.muscle for f in recording.findings if f.masked and isnan(f.start_s) and f.muscle})
        kept = f"; {n_masked} of {n_muscle} channels left out" if n_masked else ""
        print(f"{recording.recording.label}: {', '.join(recording.estimates) or 'nothing'}{kept}")
        for why in dict.fromkeys(recording.skipped.values()):
            print(f"  {', '.join(m for m, reason in recording.skipped.items() if reason == why)} left out: {why}")
    for why in result.failed.values():
        print(f"FAILED  {why}", file=sys.stderr)
