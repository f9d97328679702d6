"""Decoding of movement from real EMG: every method beside the filters, paired over people.

python benchmarks/experiments_real.py leg-uci-knee --data ../shared/data --json leg.json

The recordings are not part of the project: `--data` is the folder that holds `leg-uci-knee`, `gait-biomechzoo` and
`gait-rajagopal2016`. People are done one by one, and what is in `--folder` already is not computed again.
"""

from __future__ import annotations

import argparse
import json
import re
from collections.abc import Iterator
from pathlib import Path

from rich.console import Console

import myodrive as md
from myodrive.cli import method_settings
from myodrive.evaluation.experiments import run_experiment
from myodrive.reporting.experiment_page import refuse_foreign_experiment, write_experiment
from myodrive.safe_write import safe_write_text

METHODS = "low-pass,whitened,bayes,synergies,autolfads"
# The leg that the electrodes were on; the hamstrings of HC050A are dead. HC040A and HC055A have no usable EMG.
USABLE = {
    "HC002D": ("R", ("Rect", "Hams", "Gast", "Tib Ant")),
    "HC030A": ("R", ("Rect", "Hams", "Gast", "Tib Ant")),
    "HC031A": ("R", ("Rect", "Hams", "Gast", "Tib Ant")),
    "HC032A": ("L", ("Rect", "Hams", "Gast", "Tib Ant")),
    "HC036A": ("L", ("Rect", "Hams", "Gast", "Tib Ant")),
    "HC039A": ("L", ("Rect", "Hams", "Gast", "Tib Ant")),
    "HC050A": ("R", ("Rect", "Gast", "Tib Ant")),
}
RUNNING_COPIES = ("glmax2r", "glmax3r", "glmed2r", "glmed3r", "semitenr")  # one electrode under several names
RUNNING_JOINTS = ("hip_flexion_r", "knee_angle_r", "ankle_angle_r")


def leg_uci_knee(data: Path) -> Iterator[md.Recording]:
    """Gait, seated extension and standing flexion of 16 people; 1N and 2N are one, of whom two files are copies."""
    for file in sorted((data / "leg-uci-knee").glob("*_TXT/*.txt.xz")):
        person, movement = re.fullmatch(r"(\d+[AN])(mar|pie|sen)\.txt\.xz", file.name).groups()  # type: ignore[union-attr]
        if file.name in ("2Npie.txt.xz", "2Nsen.txt.xz"):
            continue
        who = "1N" if person == "2N" else person
        recording = md.read(file, rate_hz=1000, subject=who, movement=movement)
        yield recording.replace(signals={name: recording[name] for name in ("emg", "angles")})


def gait_biomechzoo(data: Path) -> Iterator[md.Recording]:
    """Walking straight and turning of seven children; both trials together, since each lasts a few seconds."""
    for person, (side, muscles) in USABLE.items():
        for file in sorted((data / "gait-biomechzoo" / person).glob("[ST][tu]r*/*.c3d")):
            emg = [f"Voltage.{side} {muscle}" for muscle in muscles]
            recording = md.read(file, emg=emg, subject=person, movement="walking")
            joints = [f"{side}{joint}Angles_x" for joint in ("Hip", "Knee", "Ankle")]
            angles = recording["angles"].sel(joint=joints)
            angles = angles.assign_coords(joint=["hip", "knee", "ankle"])
            events = recording.events[recording.events["side"] == {"L": "left", "R": "right"}[side]]
            yield recording.replace(signals={"emg": recording["emg"], "angles": angles}, events=events)


def gait_rajagopal2016(data: Path) -> Iterator[md.Recording]:
    """Running of one adult; angles by inverse kinematics, the EMG of eleven electrodes."""
    folder = data / "gait-rajagopal2016" / "run"
    emg = md.read(folder / "emg_raw_run.csv.gz")["emg"]
    kept = [m for m in emg.muscle.values if m not in RUNNING_COPIES]
    angles = md.read(folder / "simulated" / "ik_run.mot")["angles"].sel(joint=list(RUNNING_JOINTS))
    yield md.Recording({"emg": emg.sel(muscle=kept), "angles": angles}, subject="adult", movement="running")


SETS = {
    "leg-uci-knee": leg_uci_knee,
    "gait-biomechzoo": gait_biomechzoo,
    "gait-rajagopal2016": gait_rajagopal2016,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recordings", choices=SETS)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--methods", default=METHODS)
    parser.add_argument("--target", default="angle", choices=("angle", "acceleration"))
    parser.add_argument(
        "--history-s", type=float, default=0.0, help="what was estimated around an instant decodes it too"
    )
    parser.add_argument("--unseen", action="store_true", help="fits have not seen the EMG that they estimate")
    parser.add_argument("--set", nargs="*", default=[], help="options of methods: autolfads.population=4")
    parser.add_argument("--folder", type=Path, default=Path("myodrive-results/experiments-real"))
    parser.add_argument("--json", type=Path)
    parser.add_argument("--out", type=Path, help="folder of the report")
    given = parser.parse_args()
    if given.out:
        refuse_foreign_experiment(given.out)
    kind = given.target + ("-history" if given.history_s else "") + ("-unseen" if given.unseen else "")
    result = run_experiment(
        "decoding",
        list(SETS[given.recordings](given.data)),
        methods=given.methods.split(","),
        settings=method_settings(given.set),
        options={"target": given.target, "history_s": given.history_s},
        unseen=given.unseen,
        folder=given.folder / given.recordings / kind,
        progress=lambda what, done, total: print(f"{done} of {total}: {what}", flush=True),
    )
    Console(width=160).print(result.table())
    print("\n".join(result.verdict))
    print(json.dumps([(row["method"], row["failed"], row["why"]) for row in result.rows]))
    if given.json:
        safe_write_text(given.json, result.to_json())
    if given.out:
        print(f"report: {write_experiment(result, given.out)}")


if __name__ == "__main__":
    main()
