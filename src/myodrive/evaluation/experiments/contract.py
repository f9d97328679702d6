"""What an experiment is: a question, the recordings made for it, and how estimates are analysed to answer it."""

from __future__ import annotations

import dataclasses
import importlib
import pkgutil
from collections.abc import Mapping, Sequence
from typing import Any, Protocol, cast, runtime_checkable

import xarray as xr
from pydantic import TypeAdapter, ValidationError

from myodrive.errors import OptionError
from myodrive.estimator import faults_in_words
from myodrive.recording import Recording

Options = dict[str, Any]  # of an estimator

ALPHA = (
    0.01  # of a finding on one recording: of twenty without the effect, three or more are found in one of a thousand
)
N_SURROGATES = 99


@dataclasses.dataclass(frozen=True)
class Curve:
    """One curve of a figure, with the level that chance reaches where there is one."""

    panel: str
    x: list[float]
    y: list[float]
    level: list[float] = dataclasses.field(default_factory=list)


@dataclasses.dataclass(frozen=True)
class Finding:
    """What an analysis says of one method on the recordings that it was given together."""

    found: bool
    p: float
    measures: dict[str, float]  # by the names in `Experiment.measures`
    curves: list[Curve] = dataclasses.field(default_factory=list)


@dataclasses.dataclass(frozen=True)
class Panel:
    """A figure's axes."""

    title: str
    x_label: str
    y_label: str
    x_range: tuple[float, float]


@runtime_checkable
class Experiment(Protocol):
    """One published analysis. A new one is a new file in this folder with such an object named ``EXPERIMENT``."""

    @property
    def name(self) -> str: ...
    @property
    def question(self) -> str: ...
    @property
    def needs(self) -> str:
        """What a recording must hold besides EMG, in words."""

    @property
    def supports(self) -> str:
        """What it supports if it is found: a clause after "This supports that …"."""

    @property
    def limits(self) -> str:
        """What it does not show, whatever is found: a sentence."""

    @property
    def measures(self) -> Mapping[str, str]:
        """The measures with what they are; methods are compared by each of them."""

    @property
    def panels(self) -> Sequence[Panel]: ...
    @property
    def settings(self) -> Mapping[str, Sequence[Options]]:
        """Options of a method for this analysis; of several the analysis may choose, on training samples."""

    def simulate(self, seed: int, effect: bool) -> Recording:
        """A recording on which the answer is known."""

    def analyse(self, recordings: Sequence[Recording], candidates: Sequence[Sequence[xr.DataArray]]) -> Finding:
        """Analyse the estimates (time, muscle) of one person's recordings of one movement.

        Parameters
        ----------
        recordings : sequence of Recording
        candidates : sequence of (sequence of DataArray)
            For each set of options in `settings`, the estimate of each recording; NaN where it is not valid.

        Raises
        ------
        SignalError
            If a recording lacks what the analysis needs, or is too short for it.
        """


def experiments() -> dict[str, Experiment]:
    """Every experiment by its name, found by importing the files of this folder."""
    package = importlib.import_module("myodrive.evaluation.experiments")
    modules = [importlib.import_module(f"{package.__name__}.{m.name}") for m in pkgutil.iter_modules(package.__path__)]
    found = [module.EXPERIMENT for module in modules if hasattr(module, "EXPERIMENT")]
    return {experiment.name: experiment for experiment in sorted(found, key=lambda e: e.name)}


def find_experiment(name: str, options: Options) -> Experiment:
    """The experiment of that name, with these options of its own changed.

    Raises
    ------
    OptionError
        If there is none, or it has no such option, or not of such a value.
    """
    known = experiments()
    if name not in known:
        raise OptionError(f"no experiment '{name}'. There are: {', '.join(known)}.")
    experiment: Any = known[name]
    names = [field.name for field in dataclasses.fields(experiment)]
    for option in options:
        if option not in names:
            raise OptionError(f"no option '{option}'. There are: {', '.join(names) or 'none'}.", where=name)
    try:
        return cast(Experiment, TypeAdapter(type(experiment)).validate_python(options))
    except ValidationError as error:
        raise OptionError(faults_in_words(error), where=name) from error
