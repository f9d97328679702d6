"""A generic model made as large and heavy as the person, from a trial of standing still."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import xarray as xr

from myodrive.errors import SignalError
from myodrive.from_simulation.marker_map import MarkerMap, MarkerMatch
from myodrive.from_simulation.opensim import Model, read_model, run_opensim
from myodrive.from_simulation.steps import ACCURACY
from myodrive.io.opensim_tables import write_trc
from myodrive.recording import Recording, make_signal

PLAUSIBLE = (0.4, 1.6)  # times the size of the model; beyond it a label is wrong, or the unit


def scale_model(
    model: Model, static: xr.DataArray, match: MarkerMatch, mass_kg: float, folder: Path
) -> tuple[Model, dict[str, float]]:
    """Scale every body, set the mass and strength, and put the markers where the person has them.

    A body's factor is the mean ratio, static trial over model in its default pose, of the distances between the pairs
    of markers that the map lists for it; a body without such a pair has the median factor of the others. Maximum
    forces grow with mass to the power 2/3, as areas do.

    Parameters
    ----------
    model : Model
    static : DataArray (time, marker, axis)
        In m, named as in the model; its mean over time counts.
    match : MarkerMatch
    mass_kg : float
    folder : path
        Where the scaled model is put.

    Returns
    -------
    Model
    dict of str to float
        The factor of each body that was measured.

    Raises
    ------
    SignalError
        If no length can be measured, or one is not the size of a person's.
    """
    measured = {str(m): static.sel(marker=m).mean("time").values for m in static.marker.values}
    factors = _measure(model, measured, match.map)
    rest = float(np.median([*factors.values()]))
    placed = make_signal(
        np.repeat(np.stack([*measured.values()])[None], 2, axis=0),
        ("time", "marker", "axis"),
        {"marker": [*measured], "axis": ["x", "y", "z"]},
        units="m",
        rate_hz=100.0,
    )
    done = run_opensim(
        "scale",
        model.path,
        {
            "factors": {b: factors.get(b, rest) for b in model.bodies},
            "mass_kg": mass_kg,
            "trc": write_trc(Recording({"markers": placed}), folder / "static.trc"),
            "weights": match.weights,
            "accuracy": ACCURACY,
            "names": [*measured],
        },
        {"positions": np.stack([*measured.values()])},
    )
    path = folder / "scaled.osim"
    path.write_bytes(done.files["scaled.osim"])
    return read_model(path), factors


def _measure(model: Model, measured: dict[str, np.ndarray], known: MarkerMap) -> dict[str, float]:
    pairs = {body: [p for p in several if set(p) <= set(measured)] for body, several in known.lengths.items()}
    pairs = {body: several for body, several in pairs.items() if several and body in model.bodies}
    names = sorted({m for several in pairs.values() for p in several for m in p})
    if not names:
        raise SignalError(
            f"the map '{known.name}' has no pair of markers, both recorded, from which a body could be measured.",
            where="static trial",
            remedy="List pairs under [NAME.lengths] of a marker map, or scale the model in OpenSim.",
        )
    done = run_opensim("marker_positions", model.path, {"markers": names})
    in_model = dict(zip(names, done.arrays["positions"]))
    factors = {}
    for body, several in pairs.items():
        ratios = [
            float(np.linalg.norm(measured[a] - measured[b]) / np.linalg.norm(in_model[a] - in_model[b]))
            for a, b in several
        ]
        factors[body] = float(np.mean(ratios))
        if not PLAUSIBLE[0] <= factors[body] <= PLAUSIBLE[1]:
            raise SignalError(
                f"{body} comes out {factors[body]:.3g} times as long as in the model, by "
                f"{', '.join('–'.join(p) for p in several)}.",
                where="static trial",
                remedy="Check the labels of these markers and the unit of the file.",
            )
    return factors
