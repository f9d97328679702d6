"""The contract of every estimator: the constructor stores, `fit` learns, `estimate` gives an Activation."""

from __future__ import annotations

import dataclasses
import functools
import importlib
import inspect
import json
import pkgutil
import platform
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any, ClassVar, TypeVar

import numpy as np
import xarray as xr
from jaxtyping import Float
from pydantic import BaseModel, ConfigDict, ValidationError

from myodrive.activation import Activation
from myodrive.conditioning.emg import filter_emg, rectify_emg
from myodrive.conditioning.normalisation import Normalisation
from myodrive.conditioning.options import EmgConditioning
from myodrive.errors import FileError, NotFittedError, OptionError, SignalError
from myodrive.learning.processes import keep_programs
from myodrive.recording import Study, data_hash
from myodrive.safe_write import safe_write_folder
from myodrive.trials import Trials, as_contractions, as_trials, to_clock

Own = TypeVar("Own", bound="Estimator")  # Self, in the form that run-time type checks understand
FORMAT = 1  # of the folder that `save` writes


@dataclasses.dataclass(frozen=True)
class Context:
    """Which samples an estimate at one instant looks at."""

    left: float  # seconds of the past; inf for all of it
    right: float  # seconds of the future; 0 for a causal estimator
    delay_s: float = 0.0  # by how much the estimate lags

    @property
    def causal(self) -> bool:
        return self.right == 0


@dataclasses.dataclass(frozen=True)
class Estimate:
    """What a kernel gives back for one trial: arrays (time, muscle), with the clock they are on if it is not the input's."""

    mean: Float[np.ndarray, "time muscle"]
    lower: Float[np.ndarray, "time muscle"] | None = None
    upper: Float[np.ndarray, "time muscle"] | None = None


class EstimatorConfig(BaseModel):
    """Options that every estimator has."""

    model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=False)

    conditioning: EmgConditioning = EmgConditioning()  # the published chain; see `EmgConditioning`


class Estimator:
    """Base of the estimators of all three routes.

    A subclass is one file: a `Config`, a `method` name, what it `consumes`, and the two functions `_fit` and
    `_estimate`. Selecting trials, conditioning, normalisation, intervals' bookkeeping, gaps and saving are here.

    Parameters
    ----------
    **options
        The fields of `Config`; the signature shows them.

    Raises
    ------
    OptionError
        If an option is unknown or has a value that makes no sense.
    """

    method: ClassVar[str] = ""  # as in --method
    Config: ClassVar[type[EstimatorConfig]] = EstimatorConfig
    consumes: ClassVar[str] = (
        "rectified"  # "filtered" (native rate, with sign) or "rectified" (resampled, non-negative)
    )
    needs_raw: ClassVar[bool] = False  # refuses an input that is an envelope already
    references: ClassVar[tuple[str, ...]] = ()  # citations for the methods paragraph
    _learned_last: ClassVar[str] = "normalisation_"  # what is there once `fit` was not stopped on its way

    def __init__(self, **options: Any) -> None:
        try:
            self.config = self.Config(**options)
        except ValidationError as error:
            raise OptionError(faults_in_words(error), where=type(self).__name__) from error
        keep_programs()

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        parameters = [
            inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=field.default, annotation=field.annotation)
            for name, field in cls.Config.model_fields.items()
        ]
        cls.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]

    # -- what a user calls -------------------------------------------------------------------------------------------

    def fit(self: Own, data: Trials, mvc: Trials | Sequence[Trials] | None = None) -> Own:
        """Learn from all training trials: the normalisation first, then whatever the method has to learn.

        Parameters
        ----------
        data : Recording, Study, or DataArray (time, muscle) or (trial, time, muscle)
            EMG; what stage of processing it is in is its attribute ``stage``, "raw" without one.
        mvc : the same, or a list of them, optional
            Maximum contractions, for ``conditioning=EmgConditioning(relative_to="mvc")``: conditioned like the trials,
            their muscles found by label, each muscle's largest peak over all of them counts.

        Raises
        ------
        SignalError
            If there is no EMG, or the trials do not have the same muscles.
        OptionError
            If maximum contractions are given and `relative_to` is not "mvc", or the other way round.
        """
        self._fit(self._prepared(data, mvc))
        return self

    def estimate(self, data: Trials) -> Any:
        """The activation of every muscle: one `Activation`, or a list of them for a `Study`.

        Raises
        ------
        NotFittedError
            Before `fit`.
        SignalError
            If a muscle that `fit` saw is missing.
        """
        self._check_fitted()
        if isinstance(data, Study):
            return [self.estimate(recording) for recording in data]
        results = [self._estimate_trial(trial) for trial in self._trials(data)]
        if isinstance(data, xr.DataArray) and "trial" in data.dims:
            joined = xr.concat([r.dataset for r in results], dim="trial", combine_attrs="override", join="exact")
            joined = joined.assign_coords(trial=data["trial"]) if "trial" in data.coords else joined
            joined.attrs["data_sha256"] = data_hash(data)
            return Activation.from_dataset(joined.transpose("trial", "time", "muscle"))
        return results[0]

    def context(self) -> Context:
        """Which samples around an instant its estimate depends on."""
        raise NotImplementedError

    def methods_text(self) -> str:
        """What was done, in the words of a methods section, from the options and what was learned."""
        raise NotImplementedError

    def save(self, folder: str | Path) -> Path:
        """Write the configuration and all that was learned into a folder: JSON and safetensors, no pickle."""

        def write(target: Path) -> None:
            from safetensors.numpy import save_file

            arrays, values = self._state()
            content = {"format": FORMAT, "method": self.method, "config": self.config.model_dump(mode="json")}
            (target / "estimator.json").write_text(json.dumps({**content, "state": values}, indent=1), encoding="utf-8")
            save_file({k: np.ascontiguousarray(v) for k, v in arrays.items()}, target / "arrays.safetensors")

        return safe_write_folder(folder, write)

    @classmethod
    def load(cls: type[Own], folder: str | Path) -> Own:
        """The inverse of `save`.

        Raises
        ------
        FileError
            If the folder does not hold a saved estimator of this kind, or not all that this version keeps of one.
        """
        from safetensors import SafetensorError
        from safetensors.numpy import load_file

        folder = Path(folder)
        try:
            content = json.loads((folder / "estimator.json").read_text(encoding="utf-8"))
            arrays = load_file(folder / "arrays.safetensors")
        except (OSError, ValueError, SafetensorError) as error:
            raise FileError(f"is not a folder that save() wrote ({error}).", where=str(folder)) from error
        if content.get("format", 0) > FORMAT:
            raise FileError(
                "was written by a newer myodrive.", where=str(folder), remedy="Run: pip install -U myodrive."
            )
        if content["method"] != cls.method:
            wanted, found = cls.__name__, content["method"]
            raise FileError(f"holds the estimator '{found}', not {wanted}.", where=str(folder))
        try:
            estimator = cls(**content["config"])
            estimator._restore(arrays, content["state"])
        except (AttributeError, KeyError, FileError, OptionError) as error:
            missing = getattr(error, "name", None) or error.args[0]
            differs = str(error) if isinstance(error, (FileError, OptionError)) else f"it does not hold {missing}."
            raise FileError(
                f"was saved by another version of myodrive: {differs}",
                where=str(folder),
                remedy="Learn the model anew.",
            ) from error
        return estimator

    # -- scikit-learn's manners --------------------------------------------------------------------------------------

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """The options by name."""
        return {name: getattr(self.config, name) for name in self.Config.model_fields}

    def set_params(self: Own, **options: Any) -> Own:
        """Change options; what was learned is forgotten by the next `fit`."""
        type(self).__init__(self, **{**self.get_params(), **options})
        return self

    def __sklearn_clone__(self: Own) -> Own:
        return type(self)(**self.get_params())

    def __repr__(self) -> str:
        changed = [
            f"{name}={value!r}"
            for name, value in self.get_params().items()
            if value != self.Config.model_fields[name].get_default(call_default_factory=True)
        ]
        return f"{type(self).__name__}({', '.join(changed)})"

    # -- what a subclass writes --------------------------------------------------------------------------------------

    def _trials(self, data: Trials) -> list[xr.DataArray]:
        """The EMG (time, muscle) of each trial; what else an estimator reads of a recording goes with it as an attribute."""
        return as_trials(data)

    def _fit(self, trials: list[xr.DataArray]) -> None:
        """Learn from normalised trials (time, muscle) of the stage that `consumes` names. NaN is missing data."""

    def _estimate(self, trial: xr.DataArray) -> Estimate:
        """Estimate one normalised trial (time, muscle): the mean rectified EMG, in units of the normalisation."""
        raise NotImplementedError

    def _reservations(self) -> list[str]:
        """What a reader of the estimates must know of how they were learned."""
        return []

    def _state(self) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        """What was learned: arrays, and values as JSON allows. The attributes that end in an underscore."""
        arrays: dict[str, np.ndarray] = {}
        values: dict[str, Any] = {}
        for name, value in vars(self).items():
            if not name.endswith("_") or name.startswith("_"):
                continue
            if isinstance(value, np.ndarray):
                arrays[name] = value
            else:
                values[name] = value.model_dump(mode="json") if isinstance(value, BaseModel) else value
        return arrays, values

    def _restore(self, arrays: dict[str, np.ndarray], values: dict[str, Any]) -> None:
        for name, value in {**arrays, **values}.items():
            setattr(self, name, value)
        self.normalisation_ = Normalisation.model_validate(values["normalisation_"])

    # -- inside ------------------------------------------------------------------------------------------------------

    def _check_fitted(self) -> None:
        if not hasattr(self, self._learned_last):
            raise NotFittedError(f"{type(self).__name__} has not learned anything yet.", remedy="Call fit(…) first.")

    def _prepared(self, data: Trials, mvc: Trials | Sequence[Trials] | None) -> list[xr.DataArray]:
        """Learn the muscles and their normalisation; the normalised trials."""
        filtered = [self._filter(trial) for trial in self._trials(data)]
        self.muscles_ = [str(m) for m in filtered[0].muscle.values]
        self._check_muscles(filtered)
        rectified = [rectify_emg(trial, self.config.conditioning) for trial in filtered]
        contractions = [self._rectified_contraction(trial) for trial in as_contractions(mvc)]
        self.normalisation_ = Normalisation.fit(rectified, self.config.conditioning, mvc=contractions)
        return [self._normalised(f, r) for f, r in zip(filtered, rectified)]

    def _filter(self, trial: xr.DataArray) -> xr.DataArray:
        if self.needs_raw and trial.attrs.get("stage", "raw") in ("rectified", "envelope"):
            raise SignalError(
                f"the method '{self.method}' needs raw EMG, and this input is {trial.attrs['stage']} already.",
                remedy="Use low-pass, synergies or lfads for it.",
            )
        return filter_emg(trial, self.config.conditioning)

    def _rectified_contraction(self, trial: xr.DataArray) -> xr.DataArray:
        trial = trial.sel(muscle=[m for m in self.muscles_ if m in trial.muscle.values])
        options = self.config.conditioning.for_muscles(trial.muscle.values.tolist())
        return rectify_emg(filter_emg(trial, options), options)

    def _normalised(self, filtered: xr.DataArray, rectified: xr.DataArray) -> xr.DataArray:
        return self.normalisation_.apply(filtered if self.consumes == "filtered" else rectified)

    def _check_muscles(self, trials: Sequence[xr.DataArray]) -> None:
        for trial in trials:
            found = [str(m) for m in trial.muscle.values]
            if found != self.muscles_:
                raise SignalError(
                    f"the muscles are {', '.join(found)}, but those of the first trial are {', '.join(self.muscles_)}.",
                    remedy="Name the same channels in the same order for every file (--emg).",
                )

    def _estimate_trial(self, trial: xr.DataArray) -> Activation:
        missing = [m for m in self.muscles_ if m not in trial.muscle.values]
        if missing:
            raise SignalError(f"the muscles {', '.join(missing)}, which were there in training, are missing.")
        trial = trial.sel(muscle=self.muscles_)
        filtered = self._filter(trial)
        rectified = rectify_emg(filtered, self.config.conditioning)
        consumed = self._normalised(filtered, rectified)
        estimate = self._estimate(consumed)
        muscle_coords = {k: v for k, v in trial.coords.items() if v.dims == ("muscle",)}

        def on_clock(values: np.ndarray | None) -> xr.DataArray | None:
            if values is None:
                return None
            placed = to_clock(values, consumed.time.values, rectified.time.values)
            coords = {"time": rectified.time, **muscle_coords}
            return xr.DataArray(placed, dims=("time", "muscle"), coords=coords)

        mean = on_clock(estimate.mean)
        assert mean is not None
        return Activation(
            mean,
            lower=on_clock(estimate.lower),
            upper=on_clock(estimate.upper),
            method=self.method,
            relative_to=self.normalisation_.relative_to,
            interval_level=float(getattr(self.config, "interval_level", np.nan))
            if estimate.lower is not None
            else np.nan,
            delay_s=self.context().delay_s,
            configuration=self.config.model_dump(mode="json"),
            versions=versions(),
            seed=getattr(self.config, "seed", None),
            data_sha256=data_hash(trial),
            notes=[*_notes(filtered), *self.normalisation_.notes, *self._reservations()],
        )


def estimators(route: str = "from_emg") -> dict[str, type[Estimator]]:
    """Every estimator of a route by its method name, found by importing the files of its folder."""
    package = importlib.import_module(f"myodrive.{route}")
    for module in pkgutil.iter_modules(package.__path__):
        importlib.import_module(f"{package.__name__}.{module.name}")
    found = {}
    pending = [Estimator]
    while pending:
        cls = pending.pop()
        pending += cls.__subclasses__()
        if cls.method and cls.__module__.startswith(package.__name__):
            found[cls.method] = cls
    return dict(sorted(found.items()))


def versions() -> dict[str, str]:
    """The versions that a result depends on."""
    return {"python": platform.python_version(), **{p: _version(p) for p in ("myodrive", "numpy", "scipy", "jax")}}


@functools.cache  # to look one up takes milliseconds, and every estimate names them
def _version(package: str) -> str:
    return version(package)


def _notes(trial: xr.DataArray) -> list[str]:
    stage = trial.attrs.get("stage", "raw")
    if stage in ("rectified", "envelope"):
        return [
            f"The input was {'an envelope' if stage == 'envelope' else 'rectified'} already: no notch, no high-pass filter."
        ]
    return [f"ECG: {trial.attrs['ecg']}."] if "ecg" in trial.attrs else []


def faults_in_words(error: ValidationError) -> str:
    """Pydantic's list of faults in one sentence; what each of several kinds asks of one value stands together."""
    places: dict[tuple[str, str], list[str]] = {}
    wanted: dict[tuple[str, str], list[str]] = {}
    for fault in error.errors():
        place = [str(p) for p in fault["loc"]] or ["options"]
        key = place[0], repr(fault["input"])
        places.setdefault(key, []).append(".".join(place))
        wanted.setdefault(key, []).append(fault["msg"].lower())
    told = [
        f"{name if len(places[name, found]) > 1 else places[name, found][0]}: "
        f"{' or '.join(dict.fromkeys(wants))} (found {found})"
        for (name, found), wants in wanted.items()
    ]
    return "; ".join(told) + "."
