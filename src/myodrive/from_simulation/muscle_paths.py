"""Muscle paths as polynomials: lengths and moment arms of all frames together, fitted once to samples of a model.

The length of a muscle is a polynomial of the coordinates that it crosses, and its moment arms are minus the slopes of
the same polynomial, so that both belong to one path (Menegaldo et al. 2004, 10.1016/j.jbiomech.2003.12.017; van den
Bogert et al. 2013, 10.1080/10255842.2012.688818).
"""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
from jaxtyping import Float, Int

from myodrive.errors import FileError, SignalError
from myodrive.safe_write import safe_write_text

FORMAT = 1
BEYOND = 0.05  # of the fitted range of a coordinate: so far on either side the polynomials are still used


@dataclasses.dataclass(frozen=True)
class PathGroup:
    """The muscles that cross the same coordinates: one table of monomials serves all of them.

    Coordinates are scaled so that the fitted range is -1 to 1.
    """

    muscles: tuple[int, ...]
    coordinates: tuple[int, ...]
    powers: Int[np.ndarray, "term coordinate"]
    coefficients: Float[np.ndarray, "term muscle"]  # m; zero beyond a muscle's own degree

    def slopes(self) -> Float[np.ndarray, "coordinate term muscle"]:
        """Coefficients of the derivative against each scaled coordinate, in the same monomials."""
        places = {tuple(p): i for i, p in enumerate(self.powers)}
        slopes = np.zeros((len(self.coordinates), *self.coefficients.shape))
        for i, power in enumerate(self.powers):
            for k in np.flatnonzero(power):
                below = power.copy()
                below[k] -= 1
                slopes[k, places[tuple(below)]] += power[k] * self.coefficients[i]
        return slopes


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class MusclePaths:
    """Lengths and moment arms of muscles as polynomials of a model's coordinates. Made by `path_fitting.fit_muscle_paths`.

    Attributes
    ----------
    muscles, coordinates : tuple of str
    low, high : array (coordinate,)
        The fitted range, rad or m.
    groups : tuple of PathGroup
    error_mm : array (muscle, 4)
        On samples that were kept from the fit, in `ERRORS`: root mean square and largest error of the length, the same
        of the moment arms; mm.
    degrees : tuple of int
        Of each muscle's polynomial.
    """

    muscles: tuple[str, ...]
    coordinates: tuple[str, ...]
    low: Float[np.ndarray, "coordinate"]
    high: Float[np.ndarray, "coordinate"]
    groups: tuple[PathGroup, ...]
    error_mm: Float[np.ndarray, "muscle error"]
    degrees: tuple[int, ...]

    ERRORS = ("length_rms", "length_max", "moment_arm_rms", "moment_arm_max")

    def __call__(
        self, values: np.ndarray
    ) -> tuple[Float[np.ndarray, "time muscle"], Float[np.ndarray, "time coordinate muscle"]]:
        """At the given coordinates (time, coordinate): lengths in m, and moment arms in m (for a translation: without unit), of all frames.

        The lengthening speed is ``-(moment_arms * speeds[..., None]).sum(axis=1)``. A frame in which a coordinate is NaN
        has NaN for the muscles that cross it.

        Raises
        ------
        SignalError
            If a coordinate leaves the fitted range by more than a twentieth of it: polynomials run away there.
        """
        values = np.asarray(values, dtype=np.float64)
        self._check_range(values)
        middle, half = (self.high + self.low) / 2, (self.high - self.low) / 2
        scaled = ((values - middle) / half).T
        lengths = np.empty((len(values), len(self.muscles)))
        moment_arms = np.zeros((len(values), len(self.coordinates), len(self.muscles)))
        for group in self.groups:
            table = monomials(group.powers, scaled[list(group.coordinates)]).T
            muscles = list(group.muscles)
            lengths[:, muscles] = table @ group.coefficients
            for coordinate, slope in zip(group.coordinates, group.slopes()):
                moment_arms[:, coordinate, muscles] = -(table @ slope) / half[coordinate]
        return lengths, moment_arms

    def _check_range(self, values: np.ndarray) -> None:
        if values.ndim != 2 or values.shape[1] != len(self.coordinates):
            raise SignalError(
                f"these muscle paths need (time, {len(self.coordinates)} coordinates), not an array of {values.shape}."
            )
        margin = BEYOND * (self.high - self.low)
        beyond = (values < self.low - margin) | (values > self.high + margin)
        for group in self.groups:
            for j in group.coordinates:
                if beyond[:, j].any():
                    frame = int(np.argmax(beyond[:, j]))
                    raise SignalError(
                        f"{self.coordinates[j]} is {values[frame, j]:.4g} in frame {frame}, and the muscle paths were "
                        f"fitted from {self.low[j]:.4g} to {self.high[j]:.4g}.",
                        remedy="Fit them over a larger range.",
                    )

    def save(self, path: str | Path) -> Path:
        """Write them to one JSON file."""
        content = {
            "myodrive_muscle_paths": FORMAT,
            **{n: list(getattr(self, n)) for n in ("muscles", "coordinates", "degrees")},
            **{n: getattr(self, n).tolist() for n in ("low", "high", "error_mm")},
            "groups": [
                {n: np.asarray(v).tolist() for n, v in dataclasses.asdict(group).items()} for group in self.groups
            ],
        }
        return safe_write_text(path, json.dumps(content))

    @classmethod
    def load(cls, path: str | Path) -> MusclePaths:
        """Read what `save` wrote.

        Raises
        ------
        FileError
            If there is no such file, or it is damaged or something else.
        """
        path = Path(path)
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
            if content.pop("myodrive_muscle_paths") != FORMAT:
                raise FileError("was written by a newer myodrive.", where=path, remedy="Run: pip install -U myodrive.")
            groups = tuple(
                PathGroup(
                    tuple(group["muscles"]),
                    tuple(group["coordinates"]),
                    np.array(group["powers"], dtype=np.int64).reshape(len(group["powers"]), len(group["coordinates"])),
                    np.array(group["coefficients"]),
                )
                for group in content["groups"]
            )
            return cls(
                muscles=tuple(content["muscles"]),
                coordinates=tuple(content["coordinates"]),
                low=np.array(content["low"]),
                high=np.array(content["high"]),
                groups=groups,
                error_mm=np.array(content["error_mm"]),
                degrees=tuple(content["degrees"]),
            )
        except FileNotFoundError as error:
            raise FileError("there is no such file.", where=str(path)) from error
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            if isinstance(error, FileError):
                raise
            raise FileError("does not hold muscle paths, or is damaged.", where=path) from error


def monomials(
    powers: Int[np.ndarray, "term coordinate"], scaled: Float[np.ndarray, "coordinate sample"]
) -> Float[np.ndarray, "term sample"]:
    """Each from the one that is lower by one factor."""
    table = np.ones((len(powers), scaled.shape[1]))
    places = {tuple(p): i for i, p in enumerate(powers)}
    for i, power in enumerate(powers):
        if power.any():
            k = int(np.flatnonzero(power)[0])
            below = power.copy()
            below[k] -= 1
            np.multiply(table[places[tuple(below)]], scaled[k], out=table[i])
    return table
