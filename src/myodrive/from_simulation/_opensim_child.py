"""The child process in which OpenSim runs: one task, arrays in, arrays out.

python _opensim_child.py OUT_FOLDER TASK JOB_FOLDER

The job's folder holds ``job.json`` (options) and ``arrays.npz``; the answer is ``answer.json`` and ``arrays.npz`` in
OUT_FOLDER. It imports nothing of this package, and works in OUT_FOLDER, so that OpenSim's files land there.
"""

import json
import os
import sys
from pathlib import Path
from typing import Any

try:  # the limit must stand before the library is loaded
    import resource

    limit = int(os.environ["MYODRIVE_MEMORY_LIMIT"])
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
except (ImportError, KeyError, ValueError, OSError):
    pass  # Windows has no such limit and macOS may refuse it: the time limit must do there

import numpy as np

Job = dict[str, Any]
Arrays = dict[str, np.ndarray]
Answer = tuple[dict[str, Any], dict[str, np.ndarray]]  # what is said, and the arrays

SLOPE_STEP = 1e-4  # rad or m; the derivative of a coupler by central differences


class Refusal(Exception):
    """What the model or the job lacks, and the remedy."""


# -- the model -------------------------------------------------------------------------------------------------------


class System:
    """A model, its state, and the maps from names to Simbody's indices."""

    def __init__(self, path: str, loads: str = "", *, rigid_tendons: bool = False) -> None:
        self.references: tuple[Any, ...] = ()  # what solvers use and do not own
        self.model = load_model(path)
        if loads:
            external = osim.ExternalLoads(loads, True)
            self.model.addModelComponent(external)
        self.muscles = [self.model.getMuscles().get(i) for i in range(self.model.getMuscles().getSize())]
        for muscle in self.muscles if rigid_tendons else []:
            muscle.set_ignore_tendon_compliance(True)
        self.state = self.model.initSystem()
        coordinates = self.model.getCoordinateSet()
        self.coordinates = {coordinates.get(i).getName(): coordinates.get(i) for i in range(coordinates.getSize())}
        self.couplers = self._find_couplers()

    def _find_couplers(self) -> dict[str, tuple[str, Any]]:
        """Coordinate that depends on another: (the other's name, its function)."""
        found = {}
        constraints = self.model.getConstraintSet()
        for i in range(constraints.getSize()):
            coupler = osim.CoordinateCouplerConstraint.safeDownCast(constraints.get(i))
            if coupler is None:
                continue
            names = coupler.getIndependentCoordinateNames()
            if names.getSize() == 1:
                found[coupler.getDependentCoordinateName()] = (names.get(0), coupler)
        return found

    @property
    def free(self) -> list[str]:
        """The names of the coordinates that motion is given for."""
        return [n for n, c in self.coordinates.items() if n not in self.couplers and not c.isConstrained(self.state)]

    def bodies(self) -> list[Any]:
        bodies = self.model.getBodySet()
        return [bodies.get(i) for i in range(bodies.getSize())]


def load_model(path: str) -> Any:
    model = osim.Model(path)
    model.finalizeFromProperties()
    muscles = model.getMuscles()
    for i in range(muscles.getSize()):
        muscle = muscles.get(i)
        path_of = osim.GeometryPath.safeDownCast(muscle.updPath()) if hasattr(muscle, "updPath") else None
        if path_of is not None and path_of.getPathPointSet().getSize() < 2:
            raise Refusal(
                f"the muscle '{muscle.getName()}' has no path: it needs an origin and an insertion, and has "
                f"{path_of.getPathPointSet().getSize()} points.",
                "Give it its path points, or take it out of the model.",
            )
    return model


def describe(job: Job, arrays: Arrays) -> Answer:
    """Names and sizes: what the caller must know before it can ask for more."""
    system = System(job["model"])
    model, state = system.model, system.state
    markers = model.getMarkerSet()
    return {
        "name": model.getName(),
        "mass_kg": model.getTotalMass(state),
        "markers": {
            markers.get(i).getName(): markers.get(i).getParentFrame().findBaseFrame().getName()
            for i in range(markers.getSize())
        },
        "bodies": {b.getName(): b.getMass() for b in system.bodies()},
        "coordinates": {
            n: {
                # A coordinate that is coupled to others is in no unit: OpenSim never converts it.
                "units": {osim.Coordinate.Rotational: "rad", osim.Coordinate.Translational: "m"}.get(
                    c.getMotionType(), ""
                ),
                "free": n in system.free,
                "of_ground": c.getJoint().getParentFrame().findBaseFrame().getName() == "ground",
            }
            for n, c in system.coordinates.items()
        },
        "muscles": [m.getName() for m in system.muscles],
        "gravity": [model.getGravity().get(i) for i in range(3)],
    }, {}


# -- scaling ---------------------------------------------------------------------------------------------------------


def marker_positions(job: Job, arrays: Arrays) -> Answer:
    """Where the markers of the model are in its default pose, (marker, 3) in m, for the measured lengths of segments."""
    system = System(job["model"])
    system.model.realizePosition(system.state)
    positions = [marker_position(system, name) for name in job["markers"]]
    return {}, {"positions": np.array(positions)}


def marker_position(system: System, name: str) -> list[float]:
    return vector(system.model.getMarkerSet().get(name).getLocationInGround(system.state))


def scale(job: Job, arrays: Arrays) -> Answer:
    """Scale every body by its factor, set the mass, and put the markers where the static trial has them."""
    system = System(job["model"])
    factors = osim.ScaleSet()
    for body in system.bodies():
        factor = osim.Scale()
        factor.setSegmentName(body.getName())
        factor.setScaleFactors(osim.Vec3(job["factors"][body.getName()]))
        factor.setApply(True)
        factors.cloneAndAppend(factor)
    generic_mass = system.model.getTotalMass(system.state)
    # Proportions of mass follow the segments' sizes, as the scale tool has it by default.
    if not system.model.scale(system.state, factors, False, job["mass_kg"]):
        raise Refusal("the model could not be scaled.", "Scale it in OpenSim and give the scaled model.")
    system.state = system.model.initSystem()
    strength = (job["mass_kg"] / generic_mass) ** (2 / 3)
    for muscle in system.muscles:
        muscle.setMaxIsometricForce(muscle.getMaxIsometricForce() * strength)
    system.model.printToXML("scaled.osim")
    place_markers(job, arrays)
    return {}, {}


def place_markers(job: Job, arrays: Arrays) -> None:
    """Move each marker of the scaled model onto the place that it had in the static trial."""
    system = System("scaled.osim")
    solver = ik_solver(system, job)
    system.state.setTime(0.0)
    solver.assemble(system.state)
    system.model.realizePosition(system.state)
    ground = system.model.getGround()
    for name, position in zip(job["names"], arrays["positions"]):
        marker = system.model.getMarkerSet().get(name)
        where = ground.findStationLocationInAnotherFrame(
            system.state, osim.Vec3(*map(float, position)), marker.getParentFrame()
        )
        marker.set_location(where)
    system.model.finalizeConnections()
    system.model.printToXML("scaled.osim")


# -- inverse kinematics ----------------------------------------------------------------------------------------------


def ik_solver(system: System, job: Job) -> Any:
    weights = osim.SetMarkerWeights()
    for name, weight in job["weights"].items():
        weights.cloneAndAppend(osim.MarkerWeight(name, float(weight)))
    # Kept, or the solver reads freed memory.
    system.references = osim.MarkersReference(job["trc"], weights), osim.SimTKArrayCoordinateReference()
    solver = osim.InverseKinematicsSolver(system.model, *system.references, float("inf"))
    solver.setAccuracy(job["accuracy"])
    return solver


def inverse_kinematics(job: Job, arrays: Arrays) -> Answer:
    """Angles of all coordinates, errors of all markers, and where the bodies are, frame by frame."""
    system = System(job["model"])
    solver = ik_solver(system, job)
    state, time = system.state, arrays["time"]
    state.setTime(float(time[0]))
    solver.assemble(state)
    names = [solver.getMarkerNameForIndex(i) for i in range(solver.getNumMarkersInUse())]
    angles = np.empty((time.size, len(system.coordinates)))
    errors = np.empty((time.size, len(names)))
    places = np.empty((time.size, len(job["bodies"]), 3))
    bodies = [system.model.getBodySet().get(b) for b in job["bodies"]]
    for k, t in enumerate(time):
        state.setTime(float(t))
        solver.track(state)
        angles[k] = [c.getValue(state) for c in system.coordinates.values()]
        errors[k] = [solver.computeCurrentMarkerError(n) for n in names]
        system.model.realizePosition(state)
        places[k] = [vector(b.getPositionInGround(state)) for b in bodies]
    return {"coordinates": list(system.coordinates), "markers": names}, {
        "angles": angles,
        "errors": errors,
        "places": places,
    }


def body_places(job: Job, arrays: Arrays) -> Answer:
    """Where bodies are at given angles of the free coordinates, frame by frame."""
    system = System(job["model"])
    bodies = [system.model.getBodySet().get(b) for b in job["bodies"]]
    still = np.zeros(len(job["coordinates"]))
    index, places = speed_indices(system), np.empty((len(arrays["value"]), len(bodies), 3))
    for k, values in enumerate(arrays["value"]):
        pose(system, job["coordinates"], [values, still, still], index, system.state.getNU())
        system.model.realizePosition(system.state)
        places[k] = [vector(b.getPositionInGround(system.state)) for b in bodies]
    return {}, {"places": places}


# -- inverse dynamics and muscle geometry ----------------------------------------------------------------------------


def dynamics(job: Job, arrays: Arrays) -> Answer:
    """Moments, moment arms and muscle forces at given motion of the free coordinates, frame by frame."""
    system = System(job["model"], job["loads"], rigid_tendons=True)
    model, state, muscles = system.model, system.state, system.muscles
    names = list(system.coordinates)
    free = [n for n in names if n in job["coordinates"]]
    columns = [job["coordinates"].index(n) for n in free]
    n_speed, index = state.getNU(), speed_indices(system)
    matter = model.getMatterSubsystem()
    n_body = 1 + max(b.getMobilizedBodyIndex() for b in system.bodies())
    silence_actuators(system)
    solver = osim.InverseDynamicsSolver(model)
    time = arrays["time"]
    motion = [arrays[k][:, columns] for k in ("value", "speed", "acceleration")]
    out = {
        "values": np.empty((time.size, len(names))),
        "moments": np.empty((time.size, len(free))),
        "moment_arms": np.empty((time.size, len(free), len(muscles))),
        **{
            k: np.empty((time.size, len(muscles)))
            for k in ("active_force", "passive_force", "muscle_lengths", "muscle_velocities")
        },
    }
    nothing = osim.SpatialVec(osim.Vec3(0), osim.Vec3(0))
    for k, t in enumerate(time):
        state.setTime(float(t))
        to_free, udot = pose(system, free, [m[k] for m in motion], index, n_speed)
        model.realizeVelocity(state)
        out["values"][k] = [c.getValue(state) for c in system.coordinates.values()]
        out["moments"][k] = to_free.T @ solver.solve(state, osim.Vector.createFromMat(udot)).to_numpy()
        forces = np.empty((n_speed, len(muscles)))
        for j, muscle in enumerate(muscles):
            # The generalised force of unit tension is the moment arm about every coordinate at once (35 µs, where
            # computeMomentArm takes 200 µs for each pair).
            on_bodies, on_speeds = osim.VectorOfSpatialVec(n_body, nothing), osim.Vector(n_speed, 0.0)
            generalised = osim.Vector(n_speed, 0.0)
            muscle.getPath().addInEquivalentForces(state, 1.0, on_bodies, on_speeds)
            matter.multiplyBySystemJacobianTranspose(state, on_bodies, generalised)
            forces[:, j] = generalised.to_numpy() + on_speeds.to_numpy()
        out["moment_arms"][k] = to_free.T @ forces
        model.realizeDynamics(state)
        out["active_force"][k] = [m.calcInextensibleTendonActiveFiberForce(state, 1.0) for m in muscles]
        out["passive_force"][k] = [m.getPassiveFiberForceAlongTendon(state) for m in muscles]
        out["muscle_lengths"][k] = [m.getLength(state) for m in muscles]
        out["muscle_velocities"][k] = [m.getLengtheningSpeed(state) for m in muscles]
    return {"all_coordinates": names, "coordinates": free, "muscles": [m.getName() for m in muscles]}, out


def millard_muscles(job: Job, arrays: Arrays) -> Answer:
    """Parameters (muscle, 6) and sampled curves (muscle, point) of every muscle, as `HillMuscles` wants them."""
    system = System(job["model"], rigid_tendons=True)
    parameters: list[list[float]] = []
    curves: dict[str, list[list[float]]] = {name: [] for name in job["curves"]}
    for muscle in system.muscles:
        millard = osim.Millard2012EquilibriumMuscle.safeDownCast(muscle)
        if millard is None:
            raise Refusal(
                f"the muscle '{muscle.getName()}' is a {muscle.getConcreteClassName()}, and only the curves of "
                "Millard2012EquilibriumMuscle can be read.",
                "Take the forces from OpenSim frame by frame.",
            )
        parameters.append(
            [
                millard.getMaxIsometricForce(),
                millard.getOptimalFiberLength(),
                millard.getTendonSlackLength(),
                millard.getPennationAngleAtOptimalFiberLength(),
                millard.getMaxContractionVelocity(),
                millard.getMinimumFiberLength(),
            ]
        )
        for name, curve in (
            ("active", millard.getActiveForceLengthCurve()),
            ("passive", millard.getFiberForceLengthCurve()),
            ("velocity", millard.getForceVelocityCurve()),
        ):
            curves[name].append([curve.calcValue(float(x)) for x in np.linspace(*job["curves"][name])])
    return {}, {"parameters": np.array(parameters), **{name: np.array(rows) for name, rows in curves.items()}}


def pose(
    system: System, free: list[str], motion: list[np.ndarray], index: dict[str, int], n_speed: int
) -> tuple[np.ndarray, np.ndarray]:
    """Set positions and speeds, couplers included; give the map to the free coordinates and the accelerations."""
    state, place = system.state, {n: i for i, n in enumerate(free)}
    udot, to_free = np.zeros(n_speed), np.zeros((n_speed, len(free)))
    for name, value, speed, acceleration in zip(free, *motion):
        coordinate = system.coordinates[name]
        coordinate.setValue(state, float(value), False)
        coordinate.setSpeedValue(state, float(speed))
        udot[index[name]] = acceleration
        to_free[index[name], place[name]] = 1.0
    for name, (leader, coupler) in system.couplers.items():
        function, coordinate = coupler.getFunction(), system.coordinates[name]
        q, u = (getattr(system.coordinates[leader], get)(state) for get in ("getValue", "getSpeedValue"))
        below, here, above = (function.calcValue(osim.Vector(1, q + d)) for d in (-SLOPE_STEP, 0.0, SLOPE_STEP))
        slope, bend = (above - below) / (2 * SLOPE_STEP), (above - 2 * here + below) / SLOPE_STEP**2
        coordinate.setValue(state, here, False)
        coordinate.setSpeedValue(state, slope * u)
        udot[index[name]] = slope * udot[index[leader]] + bend * u**2
        if leader in place:
            to_free[index[name], place[leader]] = slope
    return to_free, udot


def speed_indices(system: System) -> dict[str, int]:
    """Which of Simbody's generalised speeds belongs to each coordinate."""
    state, found = system.state, {}
    for name, coordinate in system.coordinates.items():
        before = state.getU().to_numpy().copy()
        old = coordinate.getSpeedValue(state)
        coordinate.setSpeedValue(state, old + 1.0)
        found[name] = int(np.argmax(np.abs(state.getU().to_numpy() - before)))
        coordinate.setSpeedValue(state, old)
    return found


def silence_actuators(system: System) -> None:
    """Only gravity, inertia and what acts from outside remain."""
    forces = system.model.getForceSet()
    for i in range(forces.getSize()):
        if osim.Actuator.safeDownCast(forces.get(i)) is not None:
            forces.get(i).setAppliesForce(system.state, False)


# -- OpenSim's own static optimisation -------------------------------------------------------------------------------


def static_optimization(job: Job, arrays: Arrays) -> Answer:
    """The answer of OpenSim's StaticOptimization to the same motion, as it writes it."""
    write_motion(job, arrays)
    model = load_model(job["model"])
    for name, strength in job["reserves"].items():
        reserve = osim.CoordinateActuator(name)
        reserve.setName(f"reserve_{name}")
        reserve.setOptimalForce(strength)
        reserve.setMinControl(-1e4)
        reserve.setMaxControl(1e4)
        model.addForce(reserve)
    model.finalizeConnections()
    model.printToXML("with_reserves.osim")
    tool = osim.AnalyzeTool()
    tool.setName("so")
    tool.setModelFilename("with_reserves.osim")
    tool.setCoordinatesFileName("motion.sto")
    if job["loads"]:
        tool.setExternalLoadsFileName(job["loads"])
    tool.setLowpassCutoffFrequency(-1.0)
    tool.setInitialTime(job["start_s"])
    tool.setFinalTime(job["end_s"])
    tool.setResultsDir(".")
    tool.setSolveForEquilibrium(False)
    tool.setReplaceForceSet(False)
    analysis = osim.StaticOptimization()
    analysis.setStartTime(job["start_s"])
    analysis.setEndTime(job["end_s"])
    analysis.setStepInterval(1)
    analysis.setActivationExponent(job["exponent"])
    analysis.setUseMusclePhysiology(True)
    analysis.setUseModelForceSet(True)
    tool.updAnalysisSet().cloneAndAppend(analysis)
    tool.printToXML("so.xml")
    # The tool loads its model only when it is read from a file.
    if not osim.AnalyzeTool("so.xml").run():
        raise Refusal("OpenSim's static optimisation did not finish.", "See what it said with --verbose.")
    return {}, {}


def write_motion(job: Job, arrays: Arrays) -> None:
    """All coordinates, in rad and m, as the tool reads them: it does not make the coupled ones follow by itself."""
    system = System(job["model"])
    nothing = np.zeros(len(job["coordinates"]))
    index, rows = speed_indices(system), []
    for t, values in zip(arrays["time"], arrays["value"]):
        pose(system, job["coordinates"], [values, nothing, nothing], index, system.state.getNU())
        rows.append([t, *(c.getValue(system.state) for c in system.coordinates.values())])
    header = ["motion", "version=1", f"nRows={len(rows)}", f"nColumns={len(rows[0])}", "inDegrees=no", "endheader"]
    header.append("\t".join(["time", *system.coordinates]))
    np.savetxt("motion.sto", rows, fmt="%.15g", delimiter="\t", header="\n".join(header), comments="")


def vector(v: Any) -> list[float]:
    return [v.get(i) for i in range(3)]


TASKS = {
    f.__name__: f
    for f in (
        describe,
        marker_positions,
        scale,
        inverse_kinematics,
        body_places,
        dynamics,
        millard_muscles,
        static_optimization,
    )
}


if __name__ == "__main__":
    out, task, folder = sys.argv[1:]
    job = json.loads(Path(folder, "job.json").read_text(encoding="utf-8"))
    with np.load(Path(folder, "arrays.npz"), allow_pickle=False) as stored:
        arrays = dict(stored)
    os.chdir(out)
    try:
        import opensim as osim

        osim.Logger.removeFileSink()
        osim.Logger.setLevelString("Info" if task == "static_optimization" else "Error")
        answer, results = TASKS[task](job, arrays)
    except (Refusal, ImportError, RuntimeError, ValueError, TypeError, IndexError) as error:
        kind = "missing" if isinstance(error, ImportError) else "SignalError"
        said, remedy = (*error.args, "")[:2] if isinstance(error, Refusal) else (str(error), "")
        refusal = {"kind": kind, "what": said, "remedy": remedy, "by": type(error).__name__}
        Path("refusal.json").write_text(json.dumps(refusal), encoding="utf-8")
    else:
        named: dict[str, Any] = results
        np.savez("arrays.npz", **named)
        Path("answer.json").write_text(json.dumps(answer), encoding="utf-8")
