"""What the main job gives to the report: everything known of each recording, and what could not be done."""

from __future__ import annotations

import dataclasses

import pandas as pd

from myodrive.activation import Activation
from myodrive.conditioning.quality import Finding
from myodrive.recording import Recording


@dataclasses.dataclass(frozen=True)
class MethodText:
    """What a method did, for the methods paragraph."""

    text: str
    references: tuple[str, ...] = ()
    # Of methods that learn by epochs: for each fit (a subject) the losses by name, "training" and "validation".
    curves: dict[str, dict[str, list[float]]] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class RecordingResult:
    """One recording with all that was made of it."""

    recording: Recording  # as read, nothing masked
    findings: tuple[Finding, ...]
    estimates: dict[str, Activation]  # by method
    skipped: dict[str, str] = dataclasses.field(default_factory=dict)  # method: why
    scores: pd.DataFrame = dataclasses.field(default_factory=pd.DataFrame)  # tidy: task, method, muscle, metric, value
    summary: pd.DataFrame = dataclasses.field(default_factory=pd.DataFrame)  # tidy: `evaluation.summary.summarise`
    truth: Activation | None = None


@dataclasses.dataclass(frozen=True)
class StudyResult:
    """What one call of the main job made."""

    title: str
    recordings: list[RecordingResult]
    methods: dict[str, MethodText] = dataclasses.field(default_factory=dict)
    failed: dict[str, str] = dataclasses.field(default_factory=dict)  # file: the sentence that says why
    run: dict[str, object] = dataclasses.field(default_factory=dict)  # command, options, versions, seed: `run.json`
