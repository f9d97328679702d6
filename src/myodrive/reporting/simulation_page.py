"""The report of a simulation: how far to trust it, and pictures of activations, moments, angles and marker errors."""

from __future__ import annotations

import json
from collections.abc import Sequence

import numpy as np
import xarray as xr
from markupsafe import Markup

from myodrive.from_simulation.findings import full_share
from myodrive.from_simulation.muscle_signals import muscle_joints
from myodrive.from_simulation.results import inputs
from myodrive.recording import Recording
from myodrive.reporting.page import Table, fill_template
from myodrive.reporting.svg import Dot, Line, dot_chart, line_chart
from myodrive.reporting.words import linked, number

SIDES = {"_r": "m0", "_l": "m1"}  # end of a name: style
MOMENT, RESERVE = "m0", "m1"
SOLVERS = {
    "own": "myodrive's own solver, each frame by itself, reserves at the same price as muscles",
    "opensim": "OpenSim's own tool",
    "none": "nobody: no activations were asked for",
}
OPTIONS = ("model", "cutoff_hz", "accuracy", "static_optimization")
REFERENCES = {
    "opensim": (
        "Delp et al. 2007, OpenSim: doi:10.1109/TBME.2007.901024",
        "Seth et al. 2018, OpenSim: doi:10.1371/journal.pcbi.1006223",
    ),
    "mujoco": (
        "Todorov et al. 2012, MuJoCo: doi:10.1109/IROS.2012.6386109",
        "Rajagopal et al. 2016, the legs: doi:10.1109/TBME.2016.2586891",
        "Saul et al. 2015, the arm: doi:10.1080/10255842.2014.916698",
    ),
    "": (
        "Crowninshield and Brand 1981, the cost of static optimisation: doi:10.1016/0021-9290(81)90035-X",
        "Hicks et al. 2015, what is usual of markers, residuals and reserves: doi:10.1115/1.4029304",
    ),
}


def render_simulation(recording: Recording) -> str:
    """The page as text, from a recording that `simulate` or `simulate_with_mujoco` made."""
    said = recording.info["simulation"]
    return fill_template(
        "simulation.html.j2",
        title=recording.label,
        lead=_lead(recording),
        findings=sorted(said["findings"], key=lambda f: f["good"]),
        inputs=inputs(recording),
        solver=SOLVERS[said["static_optimization"]],
        sections=[s for s in _sections(recording) if s[2]],
        muscles=_muscles(recording),
        backend=said["backend"],
        references=[linked(r) for r in (*REFERENCES[said["backend"]], *REFERENCES[""])],
        options=json.dumps({k: said[k] for k in OPTIONS if k in said}, indent=1),
    )


def _lead(recording: Recording) -> str:
    said, moments = recording.info["simulation"], recording["moments"]
    start, end = float(moments.time[0]), float(moments.time[-1])
    check = sum(not f["good"] for f in said["findings"])
    verdict = f"{check} of {len(said['findings'])} findings to check" if check else "nothing to complain of"
    return (
        f"{said['model']['file']}, {number(said['model']['mass_kg'])} kg, {start:.2f} to {end:.2f} s "
        f"({moments.sizes['time']} frames), motion low-passed at {said['cutoff_hz']:g} Hz: {verdict}."
    )


def _sections(recording: Recording) -> list[tuple[str, str, Sequence[Markup]]]:
    """Title, hint and charts of each part."""
    return [
        (
            "Activations",
            "Simulated activation, 0 to 1, right in blue and left in orange. Beside the name: the share of frames in which "
            "the muscle is fully active.",
            _activations(recording),
        ),
        (
            "Moments and reserves",
            "What the joint must make (N m, blue), and what the muscles could not (reserve, orange).",
            _moments(recording),
        ),
        (
            "Residuals",
            "Force and moment at the joint that ties the model to the ground: what motion and forces do not explain.",
            _residuals(recording),
        ),
        ("Angles", "After the low-pass (blue) and before it (grey); degrees, translations in m.", _angles(recording)),
        ("Markers", "Distance of the model's markers from those recorded: median and range over time.", _markers(recording)),
    ]  # fmt: skip


def _activations(recording: Recording) -> list[Markup]:
    if "simulated" not in recording:
        return []
    simulated = recording["simulated"]
    charts = []
    for name, sides in _sides([str(m) for m in simulated.muscle.values]).items():
        lines = [_line(simulated.sel(muscle=muscle), style) for muscle, style in sides.items()]
        full = float(full_share(simulated.sel(muscle=list(sides))).max())
        note = f"full in {100 * full:.0f} %" if full else ""
        charts.append(_chart(name, lines, y_range=(0.0, 1.0), note=note))
    return charts


def _moments(recording: Recording) -> list[Markup]:
    if "moment_arms" not in recording:
        return []
    charts = []
    for joint in muscle_joints(recording["moment_arms"]):
        lines = [_line(recording["moments"].sel(joint=joint), MOMENT)]
        if "reserves" in recording:
            lines.append(_line(recording["reserves"].sel(joint=joint), RESERVE))
        charts.append(_chart(joint, lines, y_label=str(recording["moments"].sel(joint=joint).unit.values)))
    return charts


def _residuals(recording: Recording) -> list[Markup]:
    moments = recording["moments"].sel(joint=recording.info["simulation"]["residuals"])
    return [
        _chart(str(m.joint.values), [_line(m, MOMENT)], y_label=str(m.unit.values))
        for m in moments.transpose("joint", "time")
    ]


def _angles(recording: Recording) -> list[Markup]:
    charts = []
    for joint in map(str, recording["angles"].joint.values):
        smooth = recording["angles"].sel(joint=joint)
        lines = [_line(smooth, MOMENT)]
        if joint in recording["angles_unfiltered"].joint.values:
            lines.insert(0, _line(recording["angles_unfiltered"].sel(joint=joint), "raw"))
        charts.append(_chart(joint, lines, y_label=str(smooth.unit.values)))
    return charts


def _markers(recording: Recording) -> list[Markup]:
    if "marker_errors" not in recording:
        return []
    errors = 1000 * recording["marker_errors"]
    order = errors.median("time").argsort().values[::-1]
    dots = []
    for label in map(str, errors.marker.values[order]):
        low, middle, high = np.quantile(errors.sel(marker=label), [0.0, 0.5, 1.0])
        dots.append(Dot(label, float(middle), float(low), float(high), MOMENT, f"{middle:.0f} mm"))
    half = (len(dots) + 1) // 2
    reach = (0.0, max(max(d.high for d in dots), 1e-6))
    return [dot_chart("marker error (mm)", part, reach) for part in (dots[:half], dots[half:]) if part]


def _muscles(recording: Recording) -> Table | None:
    """Peak, mean and share at full activation of each muscle."""
    if "simulated" not in recording:
        return None
    simulated, force = recording["simulated"], recording["muscle_forces"]
    full = full_share(simulated)
    rows = [
        [
            str(muscle),
            number(float(simulated.sel(muscle=muscle).max()), 2),
            number(float(simulated.sel(muscle=muscle).mean()), 2),
            f"{100 * float(full.sel(muscle=muscle)):.0f} %",
            f"{float(force.sel(muscle=muscle).max()):.0f}",
        ]
        for muscle in simulated.muscle.values
    ]
    return Table("", ["", "peak", "mean", "fully active", "peak force (N)"], rows)


def _sides(names: Sequence[str]) -> dict[str, dict[str, str]]:
    """Name without its side: {full name: style}; a muscle without a side has the first style."""
    found: dict[str, dict[str, str]] = {}
    for name in names:
        end = name[-2:] if name[-2:] in SIDES else ""
        found.setdefault(name.removesuffix(end), {})[name] = SIDES.get(end, "m0")
    return found


def _line(signal: xr.DataArray, style: str) -> Line:
    return Line(signal.time.values, signal.values.astype(np.float64), style)


def _chart(
    title: str, lines: Sequence[Line], *, y_range: tuple[float, float] | None = None, y_label: str = "", note: str = ""
) -> Markup:
    """Lines over time; without a range that of their values, zero and a margin included."""
    if y_range is None:
        values = np.concatenate([line.y[np.isfinite(line.y)] for line in lines])
        low, high = min(float(values.min(initial=0.0)), 0.0), max(float(values.max(initial=0.0)), 0.0)
        margin = 0.05 * (high - low) or 1.0
        y_range = low - margin, high + margin
    ends = [(line.x[0], line.x[-1]) for line in lines]
    x_range = (float(min(e[0] for e in ends)), float(max(e[1] for e in ends)))
    return line_chart(title, lines, x_label="s", y_label=y_label, x_range=x_range, y_range=y_range, note=note)
