"""Simulated activity refined towards EMG, on real recordings: running, walking of children, walking within one person.

python benchmarks/refine_real.py running --data ../shared/data --json running.json

The recordings are not part of the project: `--data` is the folder that holds `gait-rajagopal2016`, `gait-biomechzoo` and
`gait-falisse2019`. Folds are done one by one, and what is in `--folder` already is not computed again.

The inputs are the simulated muscles that stand for a measured one, those alone: with a handful of strides or children the
others add more noise than they tell. `--all-muscles` takes all of that leg.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import xarray as xr
from rich.console import Console
from scipy.io import loadmat

import myodrive as md
from myodrive.cli import method_settings
from myodrive.evaluation.refinement.experiments import run_refinement_experiment
from myodrive.from_simulation.opensim import read_model
from myodrive.recording import make_events, make_signal
from myodrive.reporting.experiment_page import refuse_foreign_experiment
from myodrive.reporting.refinement_page import write_findings
from myodrive.safe_write import safe_write_text

# Children: the leg that the electrodes were on. The EMG of the last two is doubtful (drifting; tonic): also told apart.
CHILDREN = {"HC002D": "R", "HC031A": "R", "HC032A": "L", "HC036A": "L", "HC050A": "R", "HC030A": "R", "HC039A": "R"}
DEAD = {"HC050A": "Hams"}
WALKING = {
    "Rect": ("recfem",),
    "Hams": ("semimem", "semiten", "bflh"),
    "Gast": ("gasmed", "gaslat"),
    "Tib Ant": ("tibant",),
}
RUNNING = {  # three electrodes stand in the file under several names
    "bflhr": ("bflh_r",),
    "gaslatr": ("gaslat_r",),
    "gasmedr": ("gasmed_r",),
    "glmax1r": ("glmax1_r", "glmax2_r", "glmax3_r"),
    "glmed1r": ("glmed1_r", "glmed2_r", "glmed3_r"),
    "recfemr": ("recfem_r",),
    "semimemr": ("semimem_r", "semiten_r"),
    "soleusr": ("soleus_r",),
    "tibantr": ("tibant_r",),
    "vaslatr": ("vaslat_r",),
    "vasmedr": ("vasmed_r",),
}
FALISSE = {
    "Hamstrings-lateralis": ("bifemlh_r", "bifemsh_r"),
    "Tibialis-anterior": ("tib_ant_r",),
    "Peroneus-longus": ("per_long_r",),
    "Gastrocnemius-lateralis": ("lat_gas_r",),
    "Hamstrings-medialis": ("semimem_r", "semiten_r"),
    "Soleus": ("soleus_r",),
    "Vastus-lateralis": ("vas_lat_r",),
    "Vastus-medialis": ("vas_med_r",),
    "Gluteus-medialis": ("glut_med1_r", "glut_med2_r", "glut_med3_r"),
    "Rectus-femoris": ("rect_fem_r",),
    "Peroneus-brevis": ("per_brev_r",),
    "Gastrocnemius-medialis": ("med_gas_r",),
    "Adductor-longus": ("add_long_r",),
    "Tensor-fasciae-latae": ("tfl_r",),
}
JOINTS = ("hip_flexion", "hip_adduction", "hip_rotation", "knee_angle", "ankle_angle")
ELSEWHERE = re.compile(
    r"reserve|shoulder|elbow|arm|wrist|pro_sup|lumbar|pelvis"
)  # of the columns of an activation file
CONTACT_N = 50.0


def running(data: Path, all_muscles: bool) -> Iterator[md.Recording]:
    """One adult, about seven strides; the time zero of the EMG is an assumption: that of the file is taken."""
    folder = data / "gait-rajagopal2016" / "run"
    emg = md.read(folder / "emg_raw_run.csv.gz")["emg"].sel(muscle=list(RUNNING))
    simulated = md.read(folder / "simulated" / "run_StaticOptimization_activation.sto")["simulated"]
    angles = md.read(folder / "simulated" / "ik_run.mot")["angles"].sel(joint=[f"{j}_r" for j in JOINTS])
    force = md.read(folder / "grf_run.mot")["forces"].sel(channel="R_ground_force_vy")
    strikes = force.time.values[1:][np.diff((force.values > CONTACT_N).astype(int)) == 1]
    yield md.Recording(
        {"emg": emg, "simulated": _of_leg(simulated, "_r", RUNNING, all_muscles), "angles": angles},
        events=make_events([(float(t), "foot strike", "right") for t in strikes]),
        subject="adult",
        movement="running",
    )


def walking(data: Path, all_muscles: bool) -> Iterator[md.Recording]:
    """Seven children, straight and turning; side and label are taken off, so that all have the same names."""
    for child, side in CHILDREN.items():
        for results in sorted((data / "gait-biomechzoo" / child / "simulated").glob("*/activation.sto")):
            trial = results.parent.name
            (file,) = (data / "gait-biomechzoo" / child).glob(f"*/{trial}.c3d")
            emg = md.read(file, emg=[f"Voltage.{side} {muscle}" for muscle in WALKING])["emg"]
            emg = emg.assign_coords(muscle=list(WALKING)).drop_vars(["name", "side"], errors="ignore")
            emg = emg.where(emg.muscle != DEAD.get(child, ""))
            end = f"_{side.lower()}"
            wanted = {m: tuple(f"{name}{end}" for name in names) for m, names in WALKING.items()}
            simulated = _of_leg(md.read(results)["simulated"], end, wanted, all_muscles)
            names = [str(m).removesuffix(end) for m in simulated.muscle.values]
            simulated = simulated.assign_coords(muscle=names).drop_vars(["name", "side"], errors="ignore")
            angles = md.read(results.parent / "ik.mot")["angles"].sel(joint=[f"{j}{end}" for j in JOINTS])
            yield md.Recording(
                {"emg": emg, "simulated": simulated, "angles": angles.assign_coords(joint=list(JOINTS))},
                subject=child,
                movement=file.parent.name,
                repetition=trial,
            )


def falisse(data: Path, all_muscles: bool) -> Iterator[md.Recording]:
    """Eleven strides of one person; the torques of the data set go straight into static optimisation.

    The set has 100 points a stride and no time: the duration of each stride is that by which its speeds are the slopes of
    its angles. The muscle geometry is OpenSim's. The EMG, of all muscles in six strides, is a fraction of a maximum already.
    """
    folder = data / "gait-falisse2019"
    content = loadmat(folder / "ExperimentalData.mat", simplify_cells=True)["ExperimentalData"]
    angles, speeds = (content["Q"]["subject1"][name]["all"] for name in ("Qs", "Qdots"))
    names = [f"{n}_r" if n in LIMB else n for n in map(str, content["Q"]["subject1"]["Qs"]["colheaders"])]
    torques, emg = (content[name]["subject1"]["all"] for name in ("Torques", "EMG"))
    measured = [str(m) for m in content["EMG"]["subject1"]["colheaders"]]
    for trial in range(angles.shape[2]):
        hip = names.index("hip_flexion_r")
        slope = np.gradient(angles[:, hip, trial])
        rate = float(speeds[:, hip, trial] @ slope / (slope @ slope))
        motion = make_signal(angles[:, :, trial], ("time", "joint"), {"joint": names}, units="deg", rate_hz=rate)
        problem = _leg_problem(folder / "subject1.osim", motion, torques[:, :, trial], names)
        simulated = md.solve_static_optimization(problem).activations
        labels = {"muscle": measured}
        envelope = make_signal(emg[:, :, trial], ("time", "muscle"), labels, units="1", rate_hz=rate, stage="envelope")
        yield md.Recording(
            {
                "emg": envelope,
                "simulated": _of_leg(simulated, "_r", FALISSE, all_muscles).assign_attrs(units="1"),
                "angles": motion.sel(joint=[f"{j}_r" for j in LIMB]),
            },
            subject="adult",
            movement="walking",
            repetition=str(trial + 1),
        )


LIMB = ("hip_flexion", "hip_adduction", "hip_rotation", "knee_angle", "ankle_angle", "subtalar_angle")


def _leg_problem(model: Path, motion: xr.DataArray, torques: np.ndarray, names: list[str]) -> md.MuscleProblem:
    """Muscle geometry by OpenSim of the right leg, with these torques in the place of those from inverse dynamics.

    Its muscles are of Thelen's kind, which OpenSim cannot take with a rigid tendon: Millard's stand for them, with the same
    parameters.
    """
    with TemporaryDirectory() as folder:
        text = model.read_text(encoding="utf-8").replace("Thelen2003Muscle", "Millard2012EquilibriumMuscle")
        model = Path(folder) / model.name
        model.write_text(text, encoding="utf-8")
        others = [c.name for c in read_model(model).free if c.name not in names]
        still = np.zeros((motion.sizes["time"], len(others)))
        values = np.column_stack([motion.values, still])
        every = make_signal(
            values, ("time", "joint"), {"joint": [*names, *others]}, units="deg", time=motion.time.values
        )
        file = md.write(md.Recording({"angles": every}), Path(folder) / "angles.mot", signal="angles")
        found = md.simulate(model, angles=file, cutoff_hz=15.0, static_optimization="none")
    plain = md.muscle_problem(found)
    joints = [plain.coordinates.index(f"{j}_r") for j in LIMB]
    muscles = [i for i, m in enumerate(plain.muscles) if m.endswith("_r")]
    given = np.stack(
        [np.interp(plain.time, motion.time.values, torques[:, names.index(f"{j}_r")]) for j in LIMB], axis=1
    )
    return md.MuscleProblem(
        muscles=[plain.muscles[i] for i in muscles],
        coordinates=[plain.coordinates[j] for j in joints],
        time=plain.time,
        torques=given,
        moment_arms=plain.moment_arms[:, joints][:, :, muscles],
        active_force=plain.active_force[:, muscles],
        reserves=np.full(len(joints), 1.0),
    )


def _of_leg(simulated: xr.DataArray, end: str, pairs: dict[str, tuple[str, ...]], all_muscles: bool) -> xr.DataArray:
    """The muscles that stand for a measured one, or all of that leg."""
    paired = {name for names in pairs.values() for name in names}
    labels = [str(m) for m in simulated.muscle.values]
    leg = [m for m in labels if m.endswith(end) and not ELSEWHERE.search(m)]
    return simulated.sel(muscle=leg if all_muscles else [m for m in leg if m in paired])


SETS = {  # what each is: recordings, pairs, experiment
    "running": (running, RUNNING, "running"),
    "walking": (walking, WALKING, "walking"),
    "falisse": (falisse, FALISSE, "running"),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recordings", choices=SETS)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--all-muscles", action="store_true")
    parser.add_argument("--without", nargs="*", default=[], help="subjects to leave out")
    parser.add_argument("--set", nargs="*", default=[], help="options of methods: stdr-net.n_steps=250")
    parser.add_argument("--folder", type=Path, default=Path("myodrive-results/refine-real"))
    parser.add_argument("--json", type=Path)
    parser.add_argument("--out", type=Path, help="folder of the report")
    given = parser.parse_args()
    if given.out:
        refuse_foreign_experiment(given.out)
    recordings, pairs, experiment = SETS[given.recordings]
    found = run_refinement_experiment(
        experiment,
        [r for r in recordings(given.data, given.all_muscles) if r.subject not in given.without],
        pairs=pairs,
        settings=method_settings(given.set),
        folder=given.folder / given.recordings,
        progress=lambda what, done, total: print(f"{done} of {total}: {what}", flush=True),
    )
    for table in found.comparison.tables():
        Console(width=160).print(table)
    print("\n".join(found.verdict))
    if given.json:
        safe_write_text(given.json, found.to_json())
    if given.out:
        print(f"report: {write_findings(found, given.out)}")


if __name__ == "__main__":
    main()
