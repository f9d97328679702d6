"""What the main job gives to the report: everything known of each recording, and what could not be done."""

from __future__ import annotations

import dataclasses
import functools
import re
from collections.abc import Sequence

import pandas as pd

from myodrive.activation import Activation
from myodrive.conditioning.quality import Finding, mask_emg
from myodrive.recording import Recording


@dataclasses.dataclass(frozen=True)
class MethodText:
    """What a method did, for the methods paragraph."""

    text: str
    references: tuple[str, ...] = ()
    # Of methods that learn by epochs: for each fit (a subject) the losses by name, "training" and "validation".
    curves: dict[str, dict[str, list[float]]] = dataclasses.field(default_factory=dict)
    # Of methods that search their hyperparameters: for each fit one row for each network and generation.
    searches: dict[str, list[dict[str, float]]] = dataclasses.field(default_factory=dict)

    @classmethod
    def of_fits(cls, fits: Sequence[MethodText]) -> MethodText:
        """One text for several fits of the same method: numbers that differ become ranges, other differences stay.

        Examples
        --------
        >>> MethodText.of_fits([MethodText("Cut off at 4 Hz."), MethodText("Cut off at 2.5 Hz.")]).text
        'Cut off at 2.5 to 4 Hz.'
        """
        alike: dict[tuple[str, ...], list[list[str]]] = {}
        for fit in fits:
            pieces = re.split(r"(?<![\w.])(\d+(?:\.\d+)?)(?!\.?\d)", fit.text)
            alike.setdefault(tuple(pieces[::2]), []).append(pieces)
        # Text and numbers take turns in the pieces.
        texts = ["".join(_range(p) if i % 2 else p[0] for i, p in enumerate(zip(*same))) for same in alike.values()]
        curves = {name: curve for fit in fits for name, curve in fit.curves.items()}
        references = dict.fromkeys(r for fit in fits for r in fit.references)
        searches = {name: history for fit in fits for name, history in fit.searches.items()}
        return cls(" ".join(texts), tuple(references), curves, searches)


def _range(numbers: Sequence[str]) -> str:
    low, high = min(numbers, key=float), max(numbers, key=float)
    return low if low == high else f"{low} to {high}"


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

    @functools.cached_property
    def masked(self) -> Recording:
        """The recording with NaN wherever the quality check keeps the EMG out of every estimate."""
        return self.recording.with_signal("emg", mask_emg(self.recording["emg"], self.findings))


@dataclasses.dataclass(frozen=True)
class StudyResult:
    """What one call of the main job made."""

    title: str
    recordings: list[RecordingResult]
    methods: dict[str, MethodText] = dataclasses.field(default_factory=dict)
    failed: dict[str, str] = dataclasses.field(default_factory=dict)  # file: the sentence that says why
    run: dict[str, object] = dataclasses.field(default_factory=dict)  # command, options, versions, seed: `run.json`
