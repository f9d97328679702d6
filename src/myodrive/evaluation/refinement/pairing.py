"""Which simulated muscles stand for a measured one: said by the user, the same label, or the same anatomical name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import xarray as xr

from myodrive.errors import SignalError
from myodrive.muscles import recognise
from myodrive.recording import Study

Pairs = dict[str, tuple[str, ...]]  # measured muscle: simulated muscles whose mean stands for it

# What one electrode sees of several muscles that a model has apart.
GROUPS: Mapping[str, Sequence[str]] = {
    "biceps femoris": ("biceps femoris caput longum",),  # the short head lies under the long one
    "gastrocnemius": ("gastrocnemius lateralis", "gastrocnemius medialis"),
    "hamstrings": ("semimembranosus", "semitendinosus", "biceps femoris caput longum"),
    "hamstrings lateralis": ("biceps femoris caput longum",),
    "hamstrings medialis": ("semimembranosus", "semitendinosus"),
}


def pair_muscles(study: Study, given: Mapping[str, Sequence[str]] | None = None) -> Pairs:
    """Measured muscles with the simulated ones that stand for them; what cannot be paired is left out.

    A muscle that `given` does not name is paired with the simulated one of its label, else with all of its anatomical
    name and side. A measured muscle without a side is paired if the simulation has that muscle on one side only.

    Parameters
    ----------
    study : Study
        Recordings with ``simulated`` and ``emg``, of the same channels in all.
    given : mapping, optional
        Measured muscle to simulated muscles.

    Raises
    ------
    SignalError
        If `given` names a muscle that is not there, or no muscle can be paired.
    """
    measured, simulated = _labels(study[0]["emg"]), _labels(study[0]["simulated"])
    pairs: Pairs = {}
    for muscle, others in (given or {}).items():
        if muscle not in measured or not set(others) <= set(simulated):
            raise SignalError(
                f"'{muscle}={','.join(others)}' names a muscle that is not there. {_both(measured, simulated)}",
                where="--pair, or [pairs] of the study.toml",
            )
        pairs[muscle] = tuple(others)
    known = _known(study[0]["simulated"])
    for muscle, (name, side) in _known(study[0]["emg"]).items():
        if muscle not in pairs and (others := _standing_for(muscle, name, side, known)):
            pairs[muscle] = others
    if not pairs:
        raise SignalError(
            f"no measured muscle has a simulated one of its name. {_both(measured, simulated)}",
            where=study[0].label,
            remedy=f"Pair them: --pair '{measured[0]}={simulated[0]}', several simulated ones with commas between.",
        )
    return {muscle: pairs[muscle] for muscle in measured if muscle in pairs}


def _standing_for(muscle: str, name: str, side: str, known: Mapping[str, tuple[str, str]]) -> tuple[str, ...]:
    if muscle in known:
        return (muscle,)
    wanted = {name, *GROUPS.get(name, ())} - {""}
    found = {label: s for label, (n, s) in known.items() if n in wanted and (not side or s in (side, ""))}
    return tuple(found) if len(set(found.values())) == 1 else ()


def _known(signal: xr.DataArray) -> dict[str, tuple[str, str]]:
    """Name and side of each muscle: as the reader recognised them, or the user said."""
    labels = _labels(signal)
    if "name" in signal.coords and "side" in signal.coords:
        return {m: (str(n), str(s)) for m, n, s in zip(labels, signal["name"].values, signal["side"].values)}
    return {label: recognise(label, labels) for label in labels}


def _labels(signal: xr.DataArray) -> list[str]:
    return [str(m) for m in signal["muscle"].values]


def _both(measured: Sequence[str], simulated: Sequence[str]) -> str:
    return f"Measured: {', '.join(measured)}. Simulated: {', '.join(simulated)}."
