"""How much two opposing muscles work against each other: two published indices."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
import xarray as xr
from jaxtyping import Float

from myodrive.errors import SignalError

FALCONER_WINTER = (
    "Falconer K, Winter DA (1985). Quantitative assessment of co-contraction at the ankle joint in walking. "
    "Electromyogr Clin Neurophysiol 25:135–149."
)
RUDOLPH = (
    "Rudolph KS, Axe MJ, Snyder-Mackler L (2000). Dynamic stability after ACL injury: who can hop? Knee Surg Sports "
    "Traumatol Arthrosc 8:262–269. https://doi.org/10.1007/s001670000130"
)

OPPOSING: tuple[tuple[tuple[str, ...], tuple[str, ...]], ...] = (
    # Beginnings of names: a muscle may be named as a group or by one of its heads.
    (("quadriceps", "rectus femoris", "vastus"), ("hamstrings", "biceps femoris", "semitendinosus", "semimembranosus")),
    (("tibialis anterior",), ("gastrocnemius", "soleus", "triceps surae")),
    (("biceps brachii", "brachialis"), ("triceps brachii",)),
    (("anterior deltoid",), ("posterior deltoid",)),
    (("pectoralis major",), ("latissimus dorsi",)),
    (("adductor",), ("gluteus medius",)),
    (("flexor",), ("extensor",)),
)
"""Antagonists that are paired by themselves."""


def falconer_winter(a: Float[np.ndarray, " time"], b: Float[np.ndarray, " time"]) -> float:
    """The common part of two activities as a share of both, in per cent.

    ``100 · 2 ∫ min(a, b) dt / ∫ (a + b) dt``: 0 where the two take turns, 100 where they are equal throughout. It does
    not tell a strong co-contraction from a weak one. Samples where either is NaN are left out; NaN if nothing is active.

    Source: `FALCONER_WINTER`.

    Examples
    --------
    >>> import numpy as np
    >>> falconer_winter(np.array([1.0, 1.0]), np.array([1.0, 0.0]))
    66.66666666666667
    """
    low, high = _low_high(a, b)
    total = float(np.sum(low + high))
    return 100.0 * 2.0 * float(np.sum(low)) / total if total > 0 else float("nan")


def rudolph(a: Float[np.ndarray, " time"], b: Float[np.ndarray, " time"]) -> float:
    """Co-contraction weighted by how active the two are: the mean over time of ``min/max · (min + max)``.

    Of two activities between 0 and 1 it lies between 0 and 2. Samples where neither is active count as 0, samples
    where either is NaN are left out; NaN if none remains.

    Source: `RUDOLPH`.

    Examples
    --------
    >>> import numpy as np
    >>> rudolph(np.array([1.0, 1.0]), np.array([0.5, 0.5]))
    0.75
    """
    low, high = _low_high(a, b)
    if not low.size:
        return float("nan")
    ratio = np.divide(low, high, out=np.zeros_like(low), where=high > 0)
    return float(np.mean(ratio * (low + high)))


def antagonists(muscles: xr.DataArray) -> list[tuple[str, str]]:
    """Pairs of labels of opposing muscles of the same side, by the names that the labels were recognised as.

    Parameters
    ----------
    muscles : DataArray (muscle)
        The coordinate ``muscle`` of a signal, with its coordinates ``name`` and ``side``; without them there is no pair.
    """
    if "name" not in muscles.coords:
        return []
    labels = [str(m) for m in muscles.values]
    names = [str(n).lower() for n in muscles["name"].values]
    sides = [str(s) for s in muscles["side"].values] if "side" in muscles.coords else [""] * len(labels)
    pairs = []
    for first, second in OPPOSING:
        for i, label in enumerate(labels):
            for j, other in enumerate(labels):
                if sides[i] == sides[j] and names[i].startswith(first) and names[j].startswith(second):
                    pairs.append((label, other))
    return pairs


def cocontraction(activation: xr.DataArray, pairs: Sequence[tuple[str, str]] | None = None) -> pd.DataFrame:
    """Both indices of every pair of opposing muscles.

    Parameters
    ----------
    activation : DataArray (time, muscle)
        Non-negative and normalised, so that the two muscles can be compared; NaN is left out.
    pairs : sequence of (label, label), optional
        By default `antagonists`.

    Returns
    -------
    DataFrame
        Columns ``muscle`` ("A / B"), ``side``, ``measure`` ("falconer_winter" or "rudolph"), ``value``, ``unit``.

    Raises
    ------
    SignalError
        If a muscle of a pair is not there.
    """
    labels = [str(m) for m in activation.muscle.values]
    chosen = antagonists(activation.muscle) if pairs is None else list(pairs)
    rows = []
    for a, b in chosen:
        for label in (a, b):
            if label not in labels:
                raise SignalError(f"no muscle '{label}' for co-contraction. Found: {', '.join(labels)}.")
        x, y = (np.asarray(activation.sel(muscle=m).values, dtype=np.float64) for m in (a, b))
        side = str(activation.sel(muscle=a)["side"].values) if "side" in activation.coords else ""
        rows.append((f"{a} / {b}", side, "falconer_winter", falconer_winter(x, y), "%"))
        rows.append((f"{a} / {b}", side, "rudolph", rudolph(x, y), "1"))
    return pd.DataFrame(rows, columns=["muscle", "side", "measure", "value", "unit"])


def _low_high(a: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    both = np.isfinite(a) & np.isfinite(b)
    return np.minimum(a[both], b[both]), np.maximum(a[both], b[both])
