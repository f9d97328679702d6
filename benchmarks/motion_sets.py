"""Real recordings of movement and EMG as studies of trials: one recording is one repetition of one movement by one person.

The recordings are not part of the project; `data` is the folder that holds them.
"""

from __future__ import annotations

import io
import lzma
from itertools import pairwise
from pathlib import Path

import numpy as np
from refine_real import CHILDREN, DEAD, FALISSE, LIMB, WALKING, running
from scipy.io import loadmat

import myodrive as md
from myodrive.conditioning.envelope import smooth_run
from myodrive.recording import Recording, Study, make_events, make_signal

NINAPRO_HZ = 100.0
REST_S = 1.0  # of rest that goes with a movement, to either side; the shortest rest between two is 2.4 s
SILENT_V = 0.1  # an electrode that never exceeds this in 1000 s (40 steps of its converter) was not in contact
ENVELOPE_HZ = 6.0
LEG = [f"{joint}Angles_{axis}" for joint in ("Hip", "Knee", "Ankle") for axis in "xyz"]


def hand(data: Path, *, any_cut: bool = False) -> Study:
    """Nine people, twelve movements of the fingers, ten repetitions: 22 sensors of a glove, 10 envelopes of the forearm.

    The trials are those of the data set's own relabelling, which looks at the EMG to find when a movement began, with 1 s
    of rest to either side; or, with `any_cut`, with .2 to 1.2 s of rest, drawn for each side of each trial, so that the cut
    says less of when the EMG began. Channels 1 to 8 are a ring about the forearm.
    """
    recordings = []
    rng = np.random.default_rng(0)
    for path in sorted((data / "hand-ninapro-db1").glob("*.npz.xz"), key=lambda p: int(p.name.split("_")[0][1:])):
        person = path.name.split("_")[0]
        # All arrays once: one of an npz is read anew whenever it is asked for.
        content = dict(np.load(io.BytesIO(lzma.decompress(path.read_bytes()))))
        movement, repetition = (content[k].ravel().astype(int) for k in ("restimulus", "rerepetition"))
        emg = np.stack([smooth_run(c, NINAPRO_HZ, ENVELOPE_HZ) for c in content["emg"].T], axis=1)
        emg[:, content["emg"].max(axis=0) < SILENT_V] = np.nan
        edges = np.r_[0, np.flatnonzero(np.diff(movement)) + 1, movement.size]
        for start, stop in pairwise(edges):
            if not movement[start]:
                continue
            rest_s = rng.uniform(0.2, 1.2, 2) if any_cut else (REST_S, REST_S)
            before, after = (round(s * NINAPRO_HZ) for s in rest_s)
            part = slice(max(start - before, 0), stop + after)
            angles = make_signal(
                content["glove"][part], ("time", "joint"), {"joint": [f"sensor {i + 1}" for i in range(22)]},
                units="deg", rate_hz=NINAPRO_HZ,
            )  # fmt: skip
            labels = {"muscle": [f"electrode {i + 1}" for i in range(10)]}
            envelope = make_signal(
                emg[part], ("time", "muscle"), labels, units="V", rate_hz=NINAPRO_HZ, stage="envelope"
            )
            who = {"subject": person, "movement": f"movement {movement[start]}", "repetition": str(repetition[start])}
            recordings.append(Recording({"angles": angles, "emg": envelope}, **who))
    return Study(recordings, "hand-ninapro-db1")


def shoulder(data: Path) -> Study:
    """One person: abduction, flexion, cycling, each also with co-contraction, and free movement, in thirds of each trial.

    Between the thirds .3 s are left out. The middle trapezius has artefacts in two trials and is left out there.
    """
    recordings = []
    for path in sorted((data / "arm-shoulder-mhe" / "subject_1").glob("*.npz")):
        if path.stem.endswith("_estimate"):
            continue
        content = np.load(path)
        rate = float(content["rate_hz"])
        emg = np.stack([smooth_run(np.abs(c), rate, ENVELOPE_HZ) for c in content["emg"]], axis=1)
        names = [str(n) for n in content["emg_names"]]
        if path.stem in ("abd", "mvt_random"):
            emg[:, names.index("trapezius_medial")] = np.nan
        markers = np.moveaxis(content["markers"], -1, 0).transpose(0, 2, 1)
        labels = {"marker": [str(m) for m in content["marker_names"]], "axis": list("xyz")}
        joints = {"joint": [str(d) for d in content["dof_names"]]}
        for third, part in enumerate(np.array_split(np.arange(len(emg)), 3)):
            kept = part[round(0.15 * rate) : -round(0.15 * rate)] if part.size > 60 else part
            signals = {
                "markers": make_signal(
                    markers[kept], ("time", "marker", "axis"), labels, units="m", rate_hz=rate, up="z"
                ),
                "angles": make_signal(content["q"].T[kept], ("time", "joint"), joints, units="rad", rate_hz=rate),
                "emg": make_signal(
                    emg[kept], ("time", "muscle"), {"muscle": names}, units="V", rate_hz=rate, stage="envelope"
                ),
            }
            movement = path.stem.removesuffix("_cocon")
            kind = {"kind": path.stem}
            recordings.append(
                Recording(signals, subject="1", movement=movement, repetition=f"{path.stem} {third + 1}", info=kind)
            )
    return Study(recordings, "arm-shoulder-mhe")


def children(data: Path) -> Study:
    """Seven children, walking straight and turning: Plug-in Gait's angles of the leg with electrodes, and four muscles."""
    recordings = []
    for child, side in CHILDREN.items():
        for movement in ("Straight", "Turn"):
            for number, path in enumerate(sorted((data / "gait-biomechzoo" / child / movement).glob("*.c3d"))):
                read = md.read(path, emg=[f"Voltage.{side} {muscle}" for muscle in WALKING])
                emg = read["emg"].assign_coords(muscle=list(WALKING)).drop_vars(["name", "side"], errors="ignore")
                angles = read["angles"].sel(joint=[f"{side}{joint}" for joint in LEG]).assign_coords(joint=LEG)
                name = {"L": "left", "R": "right"}[side]
                events = read.events
                strikes = events[(events.side == name) & events.label.str.contains("Strike")].reset_index(drop=True)
                recordings.append(
                    Recording(
                        {"emg": emg.where(emg.muscle != DEAD.get(child, "")), "angles": angles},
                        events=strikes, subject=child, movement=movement, repetition=str(number + 1),
                    )
                )  # fmt: skip
    return Study(recordings, "gait-biomechzoo")


def strides_of_running(data: Path) -> Study:
    """One adult: each stride of 5 s of running is a recording."""
    (whole,) = running(data, all_muscles=False)
    times = whole.events.time.to_numpy()
    first, last = float(whole["angles"].time[0]), float(whole["angles"].time[-1])
    recordings = []
    for a, b in pairwise(times):
        if a >= first and b <= last:
            signals = {n: whole[n].sel(time=slice(a, b)) for n in ("emg", "angles")}
            who = {"subject": "adult", "movement": "running", "repetition": str(len(recordings) + 1)}
            recordings.append(Recording(signals, **who))
    return Study(recordings, "gait-rajagopal2016")


def strides_of_walking(data: Path) -> Study:
    """One adult: eleven strides of 100 points, their duration that by which speeds are the slopes of angles."""
    path = data / "gait-falisse2019" / "ExperimentalData.mat"
    content = loadmat(path, simplify_cells=True)["ExperimentalData"]
    angles, speeds = (content["Q"]["subject1"][name]["all"] for name in ("Qs", "Qdots"))
    names = [str(n) for n in content["Q"]["subject1"]["Qs"]["colheaders"]]
    emg = content["EMG"]["subject1"]["all"]
    measured = [str(m) for m in content["EMG"]["subject1"]["colheaders"]]
    columns, hip = [names.index(joint) for joint in LIMB], names.index("hip_flexion")
    recordings = []
    for trial in range(angles.shape[2]):
        slope = np.gradient(angles[:, hip, trial])
        rate = float(speeds[:, hip, trial] @ slope / (slope @ slope))
        motion = make_signal(
            angles[:, columns, trial], ("time", "joint"), {"joint": list(LIMB)}, units="deg", rate_hz=rate
        )
        envelope = make_signal(
            emg[:, :, trial], ("time", "muscle"), {"muscle": measured}, units="1", rate_hz=rate, stage="envelope"
        ).sel(muscle=[m for m in measured if m in FALISSE])
        who = {"subject": "adult", "movement": "walking", "repetition": str(trial + 1)}
        recordings.append(Recording({"angles": motion, "emg": envelope}, **who))
    return Study(recordings, "gait-falisse2019")


def lifting(data: Path) -> Study:
    """18 of 24 adults lifting a box: no movement was recorded, so its conditions and the share of it that is over stand
    for one, as if they were angles. A lift is taken to last 1 s.
    """
    content = np.load(data / "arm-lifting-envelopes" / "lifting_envelopes.npz")
    share = np.linspace(0.0, 90.0, 100)
    labels = ["share", "share of light", "share of heavy", "mass", *(f"height {h}" for h in range(1, 7))]
    recordings = []
    for k, curve in enumerate(content["envelope"]):
        person, mass, height = str(content["subject"][k]), int(content["mass_kg"][k]), int(content["height_code"][k])
        fixed = [float(mass), *(45.0 * (h == height) for h in range(1, 7))]
        moving = [share, 90 * np.sin(np.deg2rad(2 * share)), share * mass / 18]
        values = np.stack([*moving, *(np.full(100, v) for v in fixed)], axis=1)
        signals = {
            "angles": make_signal(values, ("time", "joint"), {"joint": labels}, units="deg", rate_hz=100.0),
            "emg": make_signal(
                curve, ("time", "muscle"), {"muscle": [str(m) for m in content["muscles"]]},
                units="1", rate_hz=100.0, stage="envelope",
            ),
        }  # fmt: skip
        who = {"subject": person, "movement": f"height {height}, {mass} kg", "repetition": str(content["trial"][k])}
        recordings.append(Recording(signals, events=make_events([]), **who))
    return Study(recordings, "arm-lifting-envelopes")
