"""Paired statistics over subjects: the subject is the unit, and few subjects are shown instead of tested."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pandas as pd
from jaxtyping import Float

from myodrive.errors import OptionError, SignalError

LEAST_SUBJECTS = 8  # fewer give no p: every difference is shown instead
N_BOOTSTRAP = 10_000


def compare_subjects(table: pd.DataFrame, reference: str, *, level: float = 0.95, seed: int = 0) -> pd.DataFrame:
    """Each method against a reference, paired over subjects.

    Parameters
    ----------
    table : DataFrame
        One row a subject, one column a method: one score of each subject (average its trials and muscles first). A
        subject with a missing score has no part in that comparison.
    reference : str
        The column that the others are compared with.
    level : float
        Of the bootstrap interval.
    seed : int
        Of the bootstrap.

    Returns
    -------
    DataFrame
        One row a method: ``n`` subjects; ``mean_difference`` (method − reference), with ``lower`` and ``upper`` of its
        bootstrap interval over subjects; ``effect_size``, the matched-pairs rank-biserial correlation; ``p`` of the
        exact two-sided Wilcoxon signed-rank test; ``p_holm``, adjusted for the number of tests in the table; and
        ``differences``, of each subject. With fewer than 8 subjects both p are NaN.

    Raises
    ------
    OptionError
        If there is no such column, or the level is not between 0 and 1.
    SignalError
        If a comparison has no subject.

    Examples
    --------
    >>> table = pd.DataFrame({"low-pass": np.linspace(0.5, 0.7, 9), "lfads": np.linspace(0.6, 0.85, 9)})
    >>> float(compare_subjects(table, "low-pass").p[0])
    0.00390625
    """
    if reference not in table:
        raise OptionError(f"no column '{reference}'. There are: {', '.join(map(str, table.columns))}.")
    if not 0 < level < 1:
        raise OptionError(f"the level of an interval lies between 0 and 1, not at {level}.")
    rows = []
    for method in (c for c in table.columns if c != reference):
        pairs = (table[method] - table[reference]).dropna()
        if not len(pairs):
            raise SignalError(f"no subject has a score of both '{method}' and '{reference}'.")
        differences = pairs.to_numpy(dtype=np.float64)
        lower, upper = bootstrap_interval(differences, level, seed)
        test = wilcoxon_exact(differences)
        enough = len(differences) >= LEAST_SUBJECTS
        rows.append(
            {
                "method": method,
                "n": len(differences),
                "mean_difference": float(differences.mean()),
                "lower": lower,
                "upper": upper,
                "effect_size": test.effect_size,
                "p": test.p if enough else float("nan"),
                "differences": {str(k): float(v) for k, v in pairs.items()},
            }
        )
    result = pd.DataFrame(rows)
    if len(result):
        result.insert(7, "p_holm", holm(result["p"].to_numpy(dtype=np.float64)))
    return result


class WilcoxonResult(NamedTuple):
    """`effect_size`: (sum of positive ranks − sum of negative ranks) / sum of all ranks, from −1 to 1."""

    p: float
    effect_size: float


def wilcoxon_exact(differences: Float[np.ndarray, " subject"]) -> WilcoxonResult:
    """Two-sided Wilcoxon signed-rank test, exact for any number of subjects, with ties and with zeros.

    Zeros are left out (Wilcoxon's rule), ties share the mean of their ranks, and p is the share of all 2ⁿ assignments
    of signs whose rank sum is at least as far from the middle. With nothing but zeros p is 1.
    """
    from scipy.stats import rankdata

    nonzero = differences[differences != 0]
    if not nonzero.size:
        return WilcoxonResult(1.0, 0.0)
    doubled = np.round(2 * rankdata(np.abs(nonzero))).astype(int)  # shared ranks are halves
    total = int(doubled.sum())
    ways = np.zeros(total + 1)  # share of the assignments with each sum of positive ranks
    ways[0] = 1.0
    for rank in doubled:
        ways[rank:] = 0.5 * ways[rank:] + 0.5 * ways[: total + 1 - rank]
        ways[:rank] *= 0.5
    positive = int(doubled[nonzero > 0].sum())
    far = np.abs(2 * np.arange(total + 1) - total) >= abs(2 * positive - total)
    return WilcoxonResult(float(min(1.0, ways[far].sum())), (2 * positive - total) / total)


def holm(p: Float[np.ndarray, " test"]) -> Float[np.ndarray, " test"]:
    """Holm's step-down adjustment: the smallest p times the number of tests, and so on, never falling; NaN stays."""
    adjusted = np.full(p.shape, np.nan)
    order = [i for i in np.argsort(p) if np.isfinite(p[i])]
    highest = 0.0
    for k, i in enumerate(order):
        highest = max(highest, min(1.0, (len(order) - k) * float(p[i])))
        adjusted[i] = highest
    return adjusted


def bootstrap_interval(
    differences: Float[np.ndarray, " subject"], level: float = 0.95, seed: int = 0
) -> tuple[float, float]:
    """Percentile interval of the mean, over `N_BOOTSTRAP` draws of the subjects with replacement; NaN for one subject."""
    if differences.size < 2:
        return float("nan"), float("nan")
    draws = np.random.default_rng(seed).integers(0, differences.size, (N_BOOTSTRAP, differences.size))
    lower, upper = np.quantile(differences[draws].mean(axis=1), [0.5 - level / 2, 0.5 + level / 2])
    return float(lower), float(upper)
