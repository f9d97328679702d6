"""The main job: files in, activations with scores and a report out."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
from pydantic import BaseModel, ConfigDict

from myodrive.activation import Activation
from myodrive.conditioning.movements import find_cycles
from myodrive.conditioning.options import EmgConditioning
from myodrive.conditioning.quality import check_emg, mask_emg
from myodrive.conditioning.quality.check import SLOWEST_HZ
from myodrive.errors import MyodriveError, OptionError, SignalError
from myodrive.estimator import Estimator, estimators, versions
from myodrive.evaluation.result import MethodText, RecordingResult, StudyResult
from myodrive.evaluation.scores import score_recording
from myodrive.evaluation.summary import summarise, summarise_bursts
from myodrive.io import StudyEntry, study_files
from myodrive.recording import Recording, Study, data_hash, sampling_rate
from myodrive.trials import as_trials

FAILURES = (MyodriveError, np.linalg.LinAlgError, FloatingPointError)  # of one method, which stop no other
Step = Callable[[str, float, float], None]  # what is being done, steps done, steps in all


class JobOptions(BaseModel):
    """Everything that decides what a run gives; `run.json` keeps it, so that the run can be repeated."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    files: tuple[str, ...]
    methods: tuple[str, ...] = ("low-pass", "whitened", "bayes", "synergies")
    emg: tuple[str, ...] = ()  # names or patterns of the EMG channels; found by label, unit and type without one
    already: Literal["filtered", "rectified", "envelope"] | None = None
    muscles: dict[str, str] = {}  # label: what it is ("left soleus"), where the recognition is wrong
    rate_hz: float | None = None  # for text files that do not say
    units: str | None = None  # likewise
    mvc: tuple[str, ...] = ()
    conditioning: EmgConditioning = EmgConditioning()
    settings: dict[str, dict[str, Any]] = {}  # method: its options
    seed: int = 0
    formats: tuple[Literal["sto", "csv", "mat"], ...] = ()  # beside NetCDF


def run_job(
    options: JobOptions, step: Step = lambda what, done, total: None, *, unfinished: Path | None = None
) -> StudyResult:
    """Read, check, estimate and score every file; one that fails does not stop the others.

    Trials of the same subject and session share one fit: normalisation and parameters are learned over all of them.

    Parameters
    ----------
    options : JobOptions
    step : callable
        Told what is being done, how many steps are done and how many there are.
    unfinished : Path, optional
        Folder in which long trainings save themselves, and from which the same job goes on after a Ctrl-C.

    Raises
    ------
    OptionError
        If a method is unknown, or none is given.
    MyodriveError
        If there is nothing to read, or the only file cannot be used.
    """
    chosen = _methods(options)
    if options.mvc and options.conditioning.relative_to != "mvc":
        given = options.conditioning.relative_to
        raise OptionError(
            f"{given} is not relative to the files of --mvc.", where="--relative-to", remedy="Leave one out."
        )
    if options.conditioning.relative_to == "mvc" and not options.mvc:
        raise OptionError(
            "relative to a maximum contraction, but none is given.", where="--mvc", remedy="Add --mvc FILE."
        )
    entries = list(study_files([Path(f) for f in options.files]))
    total = len(entries) * (1 + len(chosen))
    recordings, failed = _read_all(entries, options, step, total)
    if not recordings:
        if len(failed) == 1:
            raise SignalError(next(iter(failed.values())))
        raise SignalError("none of the files can be used:\n  " + "\n  ".join(failed.values()))
    done = len(entries)
    results = [_checked(recording) for recording in recordings]
    mvc = [_contraction(Path(f), options) for f in options.mvc]
    texts: dict[str, list[MethodText]] = {}
    for name, make in chosen.items():
        for group in _groups(results):
            estimator = make()
            what = f"{name} {group[0].recording.subject}".strip()
            step(what, done, total)
            _watch(estimator, lambda share: step(what, done + share * len(group), total))  # noqa: B023 (used at once)
            if unfinished is not None:
                estimator = _resumable(estimator, unfinished, group)
            text = _estimate_group(name, estimator, group, mvc)
            if text is not None:
                texts.setdefault(name, []).append(text)
            done += len(group)
    for result in results:
        if not result.estimates:
            why = " ".join(dict.fromkeys(result.skipped.values()))
            failed[result.recording.label] = f"{result.recording.label}: no method gave an estimate: {why}"
    step("scores", done, total)
    for i, result in enumerate(results):
        results[i] = _scored(result)
    title = options.files[0] if len(options.files) == 1 else f"{len(entries)} recordings"
    run: dict[str, object] = {
        "options": options.model_dump(mode="json"),
        "versions": versions(),
        "data": _hashes(results),
    }
    methods = {name: MethodText.of_fits(fits) for name, fits in texts.items()}
    return StudyResult(Path(title).name or title, results, methods, failed, run)


def _methods(options: JobOptions) -> dict[str, Callable[[], Estimator]]:
    known = estimators("from_emg")
    wanted = list(known) if options.methods == ("all",) else list(options.methods)
    for name in [*wanted, *options.settings]:
        if name not in known:
            raise OptionError(f"no method '{name}'. There are: {', '.join(known)}.", where="--method")
    chosen: dict[str, Callable[[], Estimator]] = {}
    for name in wanted:
        given: dict[str, Any] = {"conditioning": options.conditioning, **options.settings.get(name, {})}
        if "seed" in known[name].Config.model_fields:
            given.setdefault("seed", options.seed)
        known[name](**given)  # a wrong option is refused before any file is read
        chosen[name] = partial(known[name], **given)
    if not chosen:
        raise OptionError("no method is given.", where="--method", remedy=f"There are: {', '.join(known)}.")
    return chosen


def _read_all(
    entries: list[StudyEntry], options: JobOptions, step: Step, total: int
) -> tuple[list[Recording], dict[str, str]]:
    recordings, failed = [], {}
    for i, entry in enumerate(entries):
        step(f"reading {entry.path.name}", i, total)
        try:
            recordings.append(_read(entry, options))
        except MyodriveError as error:
            failed[str(entry.path)] = str(error.at(entry.path.name))
    return recordings, failed


def _read(entry: StudyEntry, options: JobOptions) -> Recording:
    recording = entry.read(
        emg=list(options.emg) or None,
        already=options.already,
        muscles=options.muscles or None,
        rate_hz=options.rate_hz,
        units=options.units,
    )
    if not recording.source.path:  # what was simulated has no file of its own before
        recording = recording.replace(source=dataclasses.replace(recording.source, path=entry.path.name))
    emg = as_trials(recording)[0]  # no EMG, or next to nothing of it, is refused here
    if (rate := sampling_rate(emg)) < SLOWEST_HZ:
        raise SignalError(
            f"its clock says {rate:g} Hz, and no EMG is recorded so slowly.",
            remedy="If its times are milliseconds, call the column 'time (ms)', or say the rate: --rate-hz 1000.",
        )
    if not emg.notnull().any():
        raise SignalError(
            f"every sample of its {emg.sizes['muscle']} EMG channels is missing ({', '.join(map(str, emg.muscle.values))}).",
            remedy="Export the recording again, or name other channels with --emg.",
        )
    return recording


def _contraction(path: Path, options: JobOptions) -> Recording:
    """A maximum contraction without what the quality check masks: one artefact there would own the scale."""
    try:
        recording = _read(StudyEntry(path=path), options)
    except MyodriveError as error:
        raise error.at(path.name) from error
    return recording.with_signal("emg", mask_emg(recording["emg"], check_emg(recording["emg"])))


def _checked(recording: Recording) -> RecordingResult:
    return RecordingResult(recording, check_emg(recording["emg"]), {}, truth=_truth(recording))


def _truth(recording: Recording) -> Activation | None:
    if "activation" not in recording:
        return None
    return Activation(recording["activation"], method="truth", relative_to="unit")


def _groups(results: list[RecordingResult]) -> list[list[RecordingResult]]:
    """Recordings that share a fit: same subject, session, channels and stage of processing."""
    groups: dict[tuple[Any, ...], list[RecordingResult]] = {}
    for result in results:
        emg = result.recording["emg"]
        key = (result.recording.subject, result.recording.session, tuple(emg.muscle.values), emg.attrs.get("stage"))
        groups.setdefault(key, []).append(result)
    return list(groups.values())


def _resumable(estimator: Estimator, folder: Path, group: list[RecordingResult]) -> Estimator:
    """The same estimator, saving its training under a name that only the same job on the same data has."""
    if "checkpoint" not in estimator.Config.model_fields:
        return estimator
    key = json.dumps([estimator.config.model_dump(mode="json"), [data_hash(r.recording["emg"]) for r in group]])
    file = folder / f"{estimator.method}-{hashlib.sha256(key.encode()).hexdigest()[:12]}.safetensors"
    return estimator.set_params(checkpoint=str(file))


def _watch(estimator: Estimator, report: Callable[[float], None]) -> None:
    """Have an estimator that trains tell what share of its training is over."""
    if hasattr(estimator, "progress"):
        estimator.progress = lambda p: report(p.elapsed_s / max(p.elapsed_s + p.remaining_s, 1e-9))


def _estimate_group(
    name: str, estimator: Estimator, group: list[RecordingResult], mvc: list[Recording]
) -> MethodText | None:
    """Fit one method on one group and put its estimates into the results; what goes wrong is said in `skipped`."""
    usable = []
    for result in group:
        if result.masked["emg"].notnull().any():
            usable.append(result)
        else:
            result.skipped[name] = "every channel is masked by the quality check."
    if not usable:
        return None
    try:
        estimator.fit(Study(result.masked for result in usable), mvc=Study(mvc) if mvc else None)
    except FAILURES as error:
        for result in usable:
            result.skipped[name] = str(error)
        return None
    for result in usable:
        try:
            result.estimates[name] = estimator.estimate(result.masked)
        except FAILURES as error:
            result.skipped[name] = str(error)
    fit = " ".join(w for w in (group[0].recording.subject, group[0].recording.session) if w)
    text = MethodText(estimator.methods_text(), tuple(estimator.references))
    history = getattr(estimator, "history_", [])
    if not history:
        return text
    if "generation" in history[0]:
        return dataclasses.replace(text, searches={fit: history})
    return dataclasses.replace(text, curves={fit: _curves(history)})


def _curves(history: list[dict[str, float]]) -> dict[str, list[float]]:
    """The losses over epochs of a method that learns by epochs."""
    # The part of the loss that the validation score can be laid beside, where the method tells it apart.
    training = "reconstruction" if "reconstruction" in history[0] else "loss"
    names = {"training": training, "validation": "validation"}
    return {name: [float(row.get(key, float("nan"))) for row in history] for name, key in names.items()}


def _scored(result: RecordingResult) -> RecordingResult:
    masked = result.masked
    cycles = find_cycles(masked)
    summaries = [summarise(activation, masked, cycles) for activation in result.estimates.values()]
    summaries = [table for table in [summarise_bursts(masked), *summaries] if len(table)]
    return dataclasses.replace(
        result,
        scores=score_recording(masked, result.estimates, cycles),
        summary=pd.concat(summaries, ignore_index=True) if summaries else pd.DataFrame(),
    )


def _hashes(results: Iterable[RecordingResult]) -> list[dict[str, str]]:
    return [{"file": r.recording.label, "sha256": r.recording.source.sha256} for r in results]
