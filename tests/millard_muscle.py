"""A Millard muscle on a slider, built with OpenSim in a process of its own: run as a script, it prints what OpenSim computes."""

from __future__ import annotations

import json

import numpy as np

FORCE_N, FIBER_M, TENDON_M, PENNATION_RAD = 800.0, 0.08, 0.15, 0.35
ACTIVE, PASSIVE, VELOCITY = (0.0, 2.0, 2001), (0.0, 2.0, 2001), (-1.5, 1.5, 3001)  # where curves are sampled


def main() -> None:
    import opensim

    opensim.Logger.setLevelString("off")
    model = opensim.Model()
    block = opensim.Body("block", 1.0, opensim.Vec3(0), opensim.Inertia(1))
    model.addBody(block)
    slider = opensim.SliderJoint("slider", model.getGround(), block)
    model.addJoint(slider)
    muscle = opensim.Millard2012EquilibriumMuscle("muscle", FORCE_N, FIBER_M, TENDON_M, PENNATION_RAD)
    muscle.set_ignore_tendon_compliance(True)
    muscle.addNewPathPoint("origin", model.getGround(), opensim.Vec3(0))
    muscle.addNewPathPoint("insertion", block, opensim.Vec3(0))
    model.addForce(muscle)
    state = model.initSystem()
    coordinate = model.getCoordinateSet().get(0)
    rows = []
    for length in np.linspace(0.12, 0.33, 25):
        for speed in (-1.0, -0.3, 0.0, 0.2, 0.9):
            coordinate.setValue(state, length)
            coordinate.setSpeedValue(state, speed)
            model.realizeDynamics(state)
            active = muscle.calcInextensibleTendonActiveFiberForce(state, 1.0)
            rows.append([length, speed, active, muscle.getPassiveFiberElasticForceAlongTendon(state)])
    curves = {
        "active": [muscle.getActiveForceLengthCurve().calcValue(x) for x in np.linspace(*ACTIVE)],
        "passive": [muscle.getFiberForceLengthCurve().calcValue(x) for x in np.linspace(*PASSIVE)],
        "velocity": [muscle.getForceVelocityCurve().calcValue(x) for x in np.linspace(*VELOCITY)],
    }
    print(json.dumps({"rows": rows, "shortest": muscle.getMinimumFiberLength(), **curves}))


if __name__ == "__main__":
    main()
