"""Fitting polynomial muscle paths to samples of a model."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Float, Int

from myodrive.errors import OptionError, SignalError
from myodrive.from_simulation.muscle_paths import MusclePaths, PathGroup, monomials
from myodrive.from_simulation.muscle_problem import LEAST_ARM_M

LENGTH_WEIGHT = 0.1  # of an error of length beside one of a moment arm: see `fit_muscle_paths`
HELD_OUT = 5  # every fifth sample is kept from the fit and gives its error


def fit_muscle_paths(
    values: np.ndarray,
    lengths: np.ndarray,
    moment_arms: np.ndarray,
    *,
    muscles: Sequence[str],
    coordinates: Sequence[str],
    tolerance_mm: float = 0.1,
    most_degree: int = 6,
) -> MusclePaths:
    """Fit the polynomials by least squares on lengths and moment arms together, moment arms first.

    An error of length weighs a tenth of one of a moment arm, in the fit and in the choice of the degree: a tenth of a
    millimetre of moment arm may decide which of two muscles carries a load, a millimetre of length changes its force by
    one or two percent, and where paths wrap, lengths of OpenSim's models do not belong to their own moment arms (by up to
    17 mm/rad in the gastrocnemii of Rajagopal2016 near knee extension), so that not both can be met.

    A muscle whose moment arm stays below 1 mm in all samples does not cross the coordinate. Wrapping leaves arms of up to
    .4 mm about joints that the muscle does not pass, and a polynomial spreads them over poses where there is none.

    Each muscle takes the lowest degree whose errors (root mean square on every fifth sample, which is kept from the fit)
    are within `tolerance_mm` of moment arm and ten times that of length, or else the degree with the smallest error.

    Parameters
    ----------
    values : array (sample, coordinate)
        Poses that fill the range of every coordinate, in any order, rad or m. They should be some ten times as many as
        a polynomial has terms (84 for three coordinates at degree 6, 210 for four); degrees with more terms than half
        the samples are not tried.
    lengths : array (sample, muscle)
        m.
    moment_arms : array (sample, coordinate, muscle)
        Minus the slope of the length against the coordinate.
    muscles, coordinates : sequence of str
    tolerance_mm : float
    most_degree : int

    Raises
    ------
    SignalError
        If shapes do not agree, a number is not finite, or the samples are too few or do not move.
    """
    if not tolerance_mm > 0 or most_degree < 1:
        raise OptionError("muscle paths need a tolerance above 0 mm and a degree of 1 or more.")
    values, lengths, moment_arms = (np.asarray(a, dtype=np.float64) for a in (values, lengths, moment_arms))
    crossed = _check_samples(values, lengths, moment_arms, muscles, coordinates)
    low, high = values.min(axis=0), values.max(axis=0)
    high = np.where(high > low, high, low + 1)
    half = (high - low) / 2
    scaled = ((values - low) / half - 1).T
    groups = []
    errors, degrees = np.zeros((len(muscles), 4)), np.zeros(len(muscles), dtype=np.int64)
    for pattern in np.unique(crossed, axis=1).T:
        which, over = np.flatnonzero((crossed == pattern[:, None]).all(axis=0)), np.flatnonzero(pattern)
        targets = np.stack([lengths[:, which], *(-moment_arms[:, j][:, which] for j in over)])
        fits = _fits(scaled[over], half[over], targets, tolerance_mm, most_degree)
        best = _best([error for _, error in fits], tolerance_mm)
        powers = _powers(over.size, best.max())
        coefficients = np.zeros((len(powers), which.size))
        for i, degree in enumerate(best):
            found, error = fits[degree]
            coefficients[: len(found), i], errors[which[i]] = found[:, i], error[i]
        degrees[which] = best
        groups.append(PathGroup(tuple(map(int, which)), tuple(map(int, over)), powers, coefficients))
    names = tuple(muscles), tuple(coordinates)
    return MusclePaths(*names, low, high, tuple(groups), errors, tuple(map(int, degrees)))


def _check_samples(
    values: np.ndarray,
    lengths: np.ndarray,
    moment_arms: np.ndarray,
    muscles: Sequence[str],
    coordinates: Sequence[str],
) -> Bool[np.ndarray, "coordinate muscle"]:
    """Which coordinates each muscle crosses."""
    n, shapes = len(values), (values.shape, lengths.shape, moment_arms.shape)
    if shapes != ((n, len(coordinates)), (n, len(muscles)), (n, len(coordinates), len(muscles))):
        raise SignalError(
            f"samples of {len(coordinates)} coordinates and {len(muscles)} muscles do not go with shapes {shapes}."
        )
    if not all(np.isfinite(a).all() for a in (values, lengths, moment_arms)):
        raise SignalError("samples of muscle paths must be finite.", remedy="Leave out the poses without a path.")
    crossed = (np.abs(moment_arms) > LEAST_ARM_M).any(axis=0)
    if n < 2 * (1 + crossed.sum(axis=0).max()):
        raise SignalError(f"{n} samples are too few for paths over {crossed.sum(axis=0).max()} coordinates.")
    still = crossed.any(axis=1) & (np.ptp(values, axis=0) == 0)
    if still.any():
        names = ", ".join(name for name, is_still in zip(coordinates, still) if is_still)
        raise SignalError(f"muscles cross {names}, which is the same in every sample.")
    return crossed


def _fits(
    scaled: Float[np.ndarray, "coordinate sample"],
    half: Float[np.ndarray, "coordinate"],
    targets: Float[np.ndarray, "what sample muscle"],
    tolerance_mm: float,
    most_degree: int,
) -> list[tuple[Float[np.ndarray, "term muscle"], Float[np.ndarray, "muscle error"]]]:
    """Coefficients and errors of degree 0, 1, …, up to the first that is good enough for all muscles.

    `targets` are the length and its slopes against each of the coordinates, in m and m/rad.
    """
    fits = []
    apart = np.arange(scaled.shape[1]) % HELD_OUT == HELD_OUT - 1
    for degree in range(most_degree + 1):
        powers = _powers(len(scaled), degree)
        if degree > 1 and 2 * len(powers) > scaled.shape[1]:
            break
        table = monomials(powers, scaled).T
        slopes = PathGroup((), tuple(range(len(scaled))), powers, np.eye(len(powers))).slopes()
        rows = np.stack([table, *(table @ slope / h for slope, h in zip(slopes, half))])  # (what, sample, term)
        flat = (-1, len(powers)), (-1, targets.shape[2])
        weight = np.where(np.arange(len(rows)) == 0, LENGTH_WEIGHT, 1.0)[:, None, None]
        design, wanted = ((weight * a[:, ~apart]).reshape(shape) for a, shape in zip((rows, targets), flat))
        found = np.linalg.lstsq(design, wanted, rcond=None)[0]
        fits.append((found, _errors_mm(rows[:, apart] @ found - targets[:, apart])))
        if (_larger(fits[-1][1]) <= tolerance_mm).all():
            break
    return fits


def _errors_mm(off: Float[np.ndarray, "what sample muscle"]) -> Float[np.ndarray, "muscle error"]:
    """In the order of `MusclePaths.ERRORS`."""
    arms = off[1:] if len(off) > 1 else np.zeros_like(off)
    return 1e3 * np.stack(
        [f(part) for part in (off[:1], arms) for f in (_rms, lambda d: np.abs(d).max(axis=(0, 1)))], axis=1
    )


def _rms(off: Float[np.ndarray, "what sample muscle"]) -> Float[np.ndarray, "muscle"]:
    return np.sqrt((off**2).mean(axis=(0, 1)))


def _best(errors: list[Float[np.ndarray, "muscle error"]], tolerance_mm: float) -> Int[np.ndarray, "muscle"]:
    """The lowest degree of each muscle whose larger error is within the tolerance, or that with the smallest."""
    larger = np.stack([_larger(error) for error in errors])  # (degree, muscle)
    good = larger <= tolerance_mm
    return np.where(good.any(axis=0), good.argmax(axis=0), larger.argmin(axis=0))


def _larger(error: Float[np.ndarray, "muscle error"]) -> Float[np.ndarray, "muscle"]:
    """Of the weighed error of length and that of the moment arms, root mean square, mm."""
    return np.maximum(LENGTH_WEIGHT * error[:, 0], error[:, 2])


def _powers(n_coordinate: int, degree: int | np.integer) -> Int[np.ndarray, "term coordinate"]:
    """Of all monomials up to a degree, lower degrees first."""
    powers = [
        np.bincount(np.array(factors, dtype=np.int64), minlength=n_coordinate)
        for d in range(degree + 1)
        for factors in itertools.combinations_with_replacement(range(n_coordinate), d)
    ]
    return np.array(powers, dtype=np.int64).reshape(len(powers), n_coordinate)
