"""MuscleProblem: what static optimisation needs to know of each frame, from whatever simulator it came."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from jaxtyping import Bool, Float

from myodrive.errors import FileError, MyodriveError, SignalError
from myodrive.safe_write import safe_write

FORMAT = 1
# A muscle acts on a coordinate if its moment arm reaches this anywhere. Paths that wrap leave arms of .3 mm about joints that
# they do not pass; taken for real, they make muscles saturate to hold up the pelvis.
LEAST_ARM_M = 1e-3
MUSCLE_RESERVE = 1.0  # N m or N for one unit of control, where a muscle acts: dear, so that muscles come first

# The arrays, their dimensions, and their units where the coordinate is an angle (of a translation: N, N/N, N).
_ARRAYS = {
    "torques": (("time", "coordinate"), "N m"),
    "moment_arms": (("time", "coordinate", "muscle"), "m"),
    "active_force": (("time", "muscle"), "N"),
    "passive_force": (("time", "muscle"), "N"),
    "reserves": (("coordinate",), "N m"),
}


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class MuscleProblem:
    """Torques that muscles have to make, frame by frame, and what each muscle can contribute.

    The balance of a frame is ``torques = moment_arms @ (activation * active_force + passive_force) + reserves * control``
    with an activation from 0 to 1 for each muscle and an unbounded control for the reserve of each coordinate. A frame
    in which any number is NaN is one that is not known: it stays in its place and its solution is NaN.

    Parameters
    ----------
    muscles, coordinates : sequence of str
        Names, each once.
    time : array (time,)
        Seconds, rising.
    torques : array (time, coordinate)
        Generalised forces: N m where the coordinate is an angle, N where it is a translation.
    moment_arms : array (time, coordinate, muscle)
        Generalised force for one newton of tension, which is minus the slope of the muscle's length against the
        coordinate: m for an angle, N/N for a translation.
    active_force : array (time, muscle)
        Force along the tendon at full activation, at the frame's length and velocity, N; not negative.
    passive_force : array (time, muscle), optional
        Force along the tendon at no activation, N; not negative. By default zero, as in OpenSim's own tool.
    reserves : array (coordinate,)
        Generalised force of the reserve actuator of each coordinate for one unit of control; positive. OpenSim's
        "optimal force" of a reserve.
    untrusted : mapping of str to str, optional
        Muscle: why what is said of it here is not to be trusted. It takes part all the same, and the solution names it.

    Raises
    ------
    SignalError
        If shapes, names or values are not as above; the sentence names the array and the place.
    """

    muscles: Sequence[str]
    coordinates: Sequence[str]
    time: np.ndarray
    torques: np.ndarray
    moment_arms: np.ndarray
    active_force: np.ndarray
    passive_force: np.ndarray = None  # type: ignore[assignment]  # zeros by then
    reserves: np.ndarray
    untrusted: Mapping[str, str] = dataclasses.field(default_factory=dict)

    def __post_init__(self) -> None:
        for kind in ("muscles", "coordinates"):
            object.__setattr__(self, kind, _names(kind, getattr(self, kind)))
        time = _numbers("time", self.time)
        if time.ndim != 1 or not np.isfinite(time).all() or (np.diff(time) <= 0).any():
            raise SignalError("the time of a muscle problem must be one row of seconds that rise from frame to frame.")
        object.__setattr__(self, "time", time)
        sizes = {"time": time.size, "coordinate": len(self.coordinates), "muscle": len(self.muscles)}
        if self.passive_force is None:
            object.__setattr__(self, "passive_force", np.zeros((time.size, len(self.muscles))))
        for name, (dims, _) in _ARRAYS.items():
            values = _numbers(name, getattr(self, name))
            shape = tuple(sizes[d] for d in dims)
            if values.shape != shape:
                raise SignalError(
                    f"'{name}' of a muscle problem must be ({', '.join(dims)}) = {shape}, and is {values.shape}."
                )
            object.__setattr__(self, name, values)
            self._check_values(name)
        strange = [m for m in self.untrusted if m not in self.muscles]
        if strange:
            raise SignalError(f"'untrusted' of a muscle problem names {', '.join(strange)}, which is not in it.")

    def _check_values(self, name: str) -> None:
        values = getattr(self, name)
        wrong, rule = np.isinf(values), "finite, or NaN for a frame that is not known"
        if name.endswith("_force"):
            wrong, rule = wrong | (values < 0), "0 N or more: a muscle only pulls"
        elif name == "reserves":
            wrong = ~(np.isfinite(values) & (values > 0))
            rule = "positive; where there is to be none, give a small one (1 N m), and its use is reported"
        if wrong.any():
            place = tuple(int(i) for i in np.argwhere(wrong)[0])
            raise SignalError(
                f"'{name}' must be {rule}.", where=self._place(name, place), remedy=self._found(name, place)
            )

    def __repr__(self) -> str:
        return (
            f"MuscleProblem({self.time.size} frames, {len(self.coordinates)} coordinates, {len(self.muscles)} muscles)"
        )

    def _place(self, name: str, index: tuple[int, ...]) -> str:
        labels = {"time": [f"{t:g} s" for t in self.time], "muscle": self.muscles, "coordinate": self.coordinates}
        return "muscle problem, " + ", ".join(str(labels[d][i]) for d, i in zip(_ARRAYS[name][0], index))

    def _found(self, name: str, index: tuple[int, ...]) -> str:
        return f"Found: {getattr(self, name)[index]:g}."

    @property
    def known(self) -> Bool[np.ndarray, "time"]:
        """The frames in which every number is known."""
        arrays = (getattr(self, name) for name, (dims, _) in _ARRAYS.items() if dims[0] == "time")
        return np.logical_and.reduce([np.isfinite(a).reshape(self.time.size, -1).all(axis=1) for a in arrays])

    def torques_of(self, activations: Float[np.ndarray, "time muscle"]) -> Float[np.ndarray, "time coordinate"]:
        """What the muscles make at these activations, passive forces included, reserves not: N m (N for a translation)."""
        force = activations * self.active_force + self.passive_force
        return (self.moment_arms @ force[..., None])[..., 0]

    def to_dataset(self) -> xr.Dataset:
        """The same as named arrays, with units."""
        return xr.Dataset(
            {name: (dims, getattr(self, name), {"units": unit}) for name, (dims, unit) in _ARRAYS.items()},
            coords={"time": self.time, "coordinate": list(self.coordinates), "muscle": list(self.muscles)},
            attrs={"untrusted": json.dumps(dict(self.untrusted))},
        )

    @classmethod
    def from_dataset(cls, dataset: xr.Dataset) -> MuscleProblem:
        """The inverse of `to_dataset`, for arrays in any order of their dimensions.

        Arrays over the same dimension must carry the same labels there; `xarray.merge` or `xarray.Dataset` joins
        single `DataArray`s.

        Raises
        ------
        SignalError
            If an array or a label is missing.
        """
        missing = [n for n in ("time", "coordinate", "muscle") if n not in dataset.coords]
        missing += [n for n in _ARRAYS if n not in dataset]
        if missing:
            found = ", ".join(map(str, dataset.variables)) or "nothing"
            raise SignalError(f"a muscle problem needs {' and '.join(missing)}. Found: {found}.")
        arrays: dict[str, Any] = {}
        for name, (dims, _) in _ARRAYS.items():
            if set(dataset[name].dims) != set(dims):
                raise SignalError(f"'{name}' of a muscle problem is over {dims}, not over {dataset[name].dims}.")
            arrays[name] = dataset[name].transpose(*dims).values
        return cls(
            muscles=tuple(map(str, dataset["muscle"].values)),
            coordinates=tuple(map(str, dataset["coordinate"].values)),
            time=dataset["time"].values,
            untrusted=json.loads(dataset.attrs.get("untrusted", "{}")),
            **arrays,
        )

    def save(self, path: str | Path) -> Path:
        """Write it to one NetCDF file (``.nc``), which any reader of NetCDF opens."""
        dataset = self.to_dataset().assign_attrs(myodrive_muscle_problem=FORMAT, sha256=self._sha256())
        encoding = {name: {"zlib": True} for name in _ARRAYS}

        def write(temporary: Path) -> None:
            dataset.to_netcdf(temporary, engine="h5netcdf", encoding=encoding)

        return safe_write(path, write, check=self.load)

    @classmethod
    def load(cls, path: str | Path) -> MuscleProblem:
        """Read what `save` wrote.

        Raises
        ------
        FileError
            If there is no such file, or it is damaged or something else.
        """
        path = Path(path)
        if not path.is_file():
            raise FileError("there is no such file.", where=str(path))
        try:
            dataset = xr.load_dataset(path, engine="h5netcdf", decode_times=False)
        except (OSError, RuntimeError, KeyError, ValueError, TypeError, AttributeError) as error:
            raise FileError("is not a NetCDF file, or is damaged.", where=path, remedy="Copy it again.") from error
        if int(dataset.attrs.get("myodrive_muscle_problem", 0)) != FORMAT:
            raise FileError("is not a muscle problem that this myodrive can read.", where=path)
        try:
            problem = cls.from_dataset(dataset)
        except MyodriveError as error:
            raise error.at(path) from error
        if problem._sha256() != dataset.attrs.get("sha256"):
            raise FileError("is damaged, or was changed after it was written.", where=path, remedy="Copy it again.")
        return problem

    def _sha256(self) -> str:
        names = [self.muscles, self.coordinates, *([dict(self.untrusted)] if self.untrusted else [])]
        digest = hashlib.sha256(json.dumps(names).encode("utf-8"))
        for values in (self.time, *(getattr(self, name) for name in _ARRAYS)):
            digest.update(values.tobytes())
        return digest.hexdigest()


def distrust(untrusted: Mapping[str, str]) -> list[str]:
    """Muscles that a model does not get right, in a sentence for each reason."""
    named: dict[str, list[str]] = {}
    for muscle, why in untrusted.items():
        named.setdefault(why, []).append(muscle)
    return [f"Not to be trusted, {', '.join(muscles)}: {why}." for why, muscles in named.items()]


def _names(kind: str, names: Sequence[str]) -> tuple[str, ...]:
    names = tuple(names)
    twice = sorted({n for n in names if names.count(n) > 1})
    if not names or twice:
        what = f"has {', '.join(twice)} more than once" if twice else "names none"
        raise SignalError(f"a muscle problem {what} among its {kind}.")
    return names


def _numbers(name: str, values: Any) -> np.ndarray:
    try:
        return np.ascontiguousarray(values, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise SignalError(f"'{name}' of a muscle problem must be an array of numbers.") from error
