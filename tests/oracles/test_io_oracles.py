"""Files that others wrote, and ours as others read them."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from scipy.io import loadmat, savemat

from myodrive.activation import Activation
from myodrive.io import read, write
from myodrive.recording import Recording, make_events, make_signal


def make_recording() -> Recording:
    rng = np.random.default_rng(0)
    emg = make_signal(
        rng.normal(size=(200, 2)), ("time", "muscle"), {"muscle": ["L TA", "R SOL"]}, units="V", rate_hz=1e3
    )
    markers = make_signal(
        rng.normal(size=(20, 3, 3)),
        ("time", "marker", "axis"),
        {"marker": ["A", "B", "C"], "axis": list("xyz")},
        units="mm",
        rate_hz=100.0,
    )
    markers[3, 1] = np.nan
    return Recording({"emg": emg, "markers": markers}, events=make_events([(0.05, "Foot Strike", "left")]))


@pytest.mark.parametrize(
    "file", ["gait-biomechzoo/HC002D/Straight/HC002D06.c3d", "arm-lifting-c3d/markers_analogs.c3d"]
)
def test_c3d_holds_what_the_c3d_package_finds_in_it(file: str, shared_data: Path) -> None:
    c3d = pytest.importorskip("c3d")
    recording = read(shared_data / file)
    with (shared_data / file).open("rb") as stream:
        reader = c3d.Reader(stream)
        frames = [(points, analog) for _, points, analog in reader.read_frames()]
        point_labels = [label.strip() for label in reader.point_labels]
        analog_labels = [label.strip() for label in reader.analog_labels]
    analog = np.concatenate([a for _, a in frames], axis=1)
    points = np.stack([p for p, _ in frames])
    tables = [recording.signals[n] for n in ("emg", "analog", "forces") if n in recording]
    assert sum(t.shape[1] for t in tables) == len(analog)
    for table in tables:
        for place, label in enumerate(table[table.dims[1]].values):
            np.testing.assert_allclose(table.values[:, place], analog[analog_labels.index(str(label))], rtol=1e-6)
    markers = recording["markers"]
    assert markers.sizes["time"] == len(points)
    for place, label in enumerate(markers.marker.values):
        if str(label) not in point_labels:
            continue  # this oracle knows no LABELS2
        theirs = points[:, point_labels.index(str(label))]
        seen = theirs[:, 3] >= 0
        np.testing.assert_array_equal(np.isfinite(markers.values[:, place, 0]), seen)
        np.testing.assert_allclose(markers.values[seen, place], theirs[seen, :3], rtol=1e-5)


def test_c3d_events_and_results_stand_where_the_walk_shows_them(shared_data: Path) -> None:
    recording = read(shared_data / "gait-biomechzoo/HC002D/Straight/HC002D06.c3d")
    assert recording.subject == "HC002D"
    assert recording.info["PROCESSING"]["Bodymass"][0] == pytest.approx(32.1, abs=0.01)
    strikes = recording.events.query("label == 'Foot Strike' and side == 'right'")["time"].to_numpy()
    assert strikes.min() >= 0 and strikes.max() <= recording.duration_s
    # A heel comes down at its foot strike: within two frames of a low point of the marker's height.
    heel = recording["markers"].sel(marker="RHEE" if "RHEE" in recording["markers"].marker else "RCAL", axis="z")
    at_strike = heel.interp(time=strikes).values
    assert np.all(at_strike < np.nanquantile(heel.values, 0.5))
    # The second part of the labels (beyond 255) holds the last model outputs.
    assert "RNeckForce_x" in recording["joint_forces"].joint.values
    assert recording["angles"].attrs["units"] == "deg"


@pytest.mark.filterwarnings("ignore:incomplete reading of data blocks")  # ezc3d leaves an empty block at the end
def test_the_c3d_package_reads_what_is_written(tmp_path: Path) -> None:
    c3d = pytest.importorskip("c3d")
    recording = make_recording()
    with write(recording, tmp_path / "a.c3d").open("rb") as stream:
        reader = c3d.Reader(stream)
        frames = [(p, a) for _, p, a in reader.read_frames()]
        assert [label.strip() for label in reader.point_labels] == ["A", "B", "C"]
        assert reader.point_rate == 100 and reader.analog_rate == 1000
    np.testing.assert_allclose(np.concatenate([a for _, a in frames], axis=1).T, recording["emg"].values, rtol=1e-6)
    points = np.stack([p for p, _ in frames])
    assert points[3, 1, 3] == -1 and points[3, 0, 3] >= 0
    np.testing.assert_allclose(points[4, :, :3], recording["markers"].values[4], rtol=1e-6)


OPENSIM = """
import json, sys
import opensim
opensim.Logger.removeFileSink()
opensim.Logger.setLevelString("off")
found = {}
for path in sys.argv[1:]:
    vectors = path.endswith(".trc")
    table = (opensim.TimeSeriesTableVec3 if vectors else opensim.TimeSeriesTable)(path)
    values = table.flatten() if vectors else table
    matrix = values.getMatrix().to_numpy().tolist()
    found[path[-3:]] = [list(table.getIndependentColumn()), list(table.getColumnLabels()), matrix]
print(json.dumps(found))
"""


def test_opensim_reads_the_tables_that_are_written(tmp_path: Path) -> None:
    pytest.importorskip("opensim")
    recording = make_recording()
    values = xr.DataArray(
        np.random.default_rng(1).random((30, 2)),
        dims=("time", "muscle"),
        coords={
            "time": np.r_[0, np.cumsum(np.random.default_rng(2).random(29) + 0.1)],
            "muscle": ["L TA", "/forceset/b"],
        },
    )
    values[4, 1] = np.nan
    activation = Activation(values, method="low-pass", relative_to="q95")
    files = [
        write(activation, tmp_path / "a.sto"),
        write(recording, tmp_path / "a.mot"),
        write(recording, tmp_path / "a.trc"),
    ]
    done = subprocess.run(
        [sys.executable, "-c", OPENSIM, *map(str, files)], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    found = json.loads(done.stdout.strip().splitlines()[-1])
    for suffix, labels, table in (
        ("sto", ["L_TA", "/forceset/b"], values.values),
        ("mot", ["L_TA", "R_SOL"], recording["emg"].values),
        ("trc", ["A", "B", "C"], recording["markers"].values.reshape(20, 9)),
    ):
        assert found[suffix][1] == labels
        np.testing.assert_array_equal(np.array(found[suffix][2]), table)
    assert found["sto"][0] == values.time.values.tolist()
    assert not (tmp_path / "opensim.log").exists()


def test_scipy_h5py_and_pandas_read_what_is_written(tmp_path: Path) -> None:
    import h5py
    import pandas as pd

    recording = make_recording()
    emg = recording["emg"]
    mat = loadmat(write(recording, tmp_path / "a.mat"), simplify_cells=True)
    np.testing.assert_array_equal(mat["emg"], emg.values)
    np.testing.assert_array_equal(mat["emg_time"], emg.time.values)
    assert list(mat["emg_muscle"]) == ["L TA", "R SOL"]
    with h5py.File(write(recording, tmp_path / "a.nc")) as file:
        np.testing.assert_array_equal(file["signal_000/values"][()], emg.values)
    table = np.loadtxt(write(recording, tmp_path / "a.csv"), delimiter=",", skiprows=1)
    np.testing.assert_array_equal(table, np.column_stack([emg.time, emg.values]))
    frame = pd.read_parquet(write(recording, tmp_path / "a.parquet"))
    np.testing.assert_array_equal(frame.to_numpy(), np.column_stack([emg.time, emg.values]))


def test_a_matlab_struct_of_labels_and_rate_is_understood(tmp_path: Path) -> None:
    values = np.random.default_rng(0).normal(size=(500, 3))
    labels = np.array(["TA", "SOL", "VL"], dtype=object)
    savemat(tmp_path / "a.mat", {"EMG": {"data": values, "labels": labels, "fs": 1000.0}, "mass": 70.0})
    recording = read(tmp_path / "a.mat")
    np.testing.assert_array_equal(recording["emg"].values, values)
    assert recording["emg"].coords["name"].values.tolist() == ["tibialis anterior", "soleus", "vastus lateralis"]
    assert recording["emg"].time.values[-1] == pytest.approx(0.499)
    assert recording.info["mass"] == 70


REAL = [
    # file, options, signals with shape, stage, muscles of the first and last channel
    ("arm-lifting-c3d/markers_analogs.c3d", {}, {"emg": (11600, 13), "markers": (580, 51, 3)}, "raw",
     ("anterior deltoid", "latissimus dorsi")),
    ("gait-rajagopal2016/walk/emg_raw_walk.csv.gz", {}, {"emg": (4780, 10)}, "raw", ("soleus", "gluteus medius")),
    ("gait-rajagopal2016/walk/emg_walk_raw.anc", {}, {"emg": (4780, 10), "forces": (4780, 18)}, "raw",
     ("soleus", "gluteus medius")),
    ("gait-rajagopal2016/moco_walk/electromyography.sto", {}, {"emg": (4780, 10)}, "envelope",
     ("soleus", "gluteus medius")),
    ("gait-rajagopal2016/run/grf_run.mot", {}, {"forces": (5091, 18)}, "", ()),
    ("gait-rajagopal2016/run/motion_capture_run.trc", {}, {"markers": (510, 42, 3)}, "", ()),
    ("gait-biomechzoo/HC002D/simulated/HC002D06/activation.sto", {}, {"simulated": (117, 134)}, "", ()),
    ("gait-biomechzoo/HC002D/simulated/HC002D06/ik.mot", {}, {"angles": (255, 39)}, "", ()),
    ("gait-santuz-treadmill/ID0012_TW_01_raw_emg.csv.gz", {}, {"emg": (7618, 13)}, "raw", ("gluteus medius", "soleus")),
    ("mouse-locomotion-emg/17465_data_ctl.mat", {}, {"emg": (175518, 2)}, "envelope", ("extensor", "flexor")),
    ("leg-uci-knee/N_TXT/1Nmar.txt.xz", {}, {"emg": (5700, 4), "angles": (5700, 1)}, "raw",
     ("rectus femoris", "semitendinosus")),
    ("leg-uci-knee/A_TXT/11Apie.txt.xz", {"rate_hz": 1000}, {"emg": (19425, 4), "angles": (19425, 1)}, "raw",
     ("rectus femoris", "semitendinosus")),
    ("emg-physical-actions/sub02.npz", {"rate_hz": 1000}, {"emg": (209120, 8)}, "raw", ("", "")),
    ("hand-ninapro-db1/S3_A1_E1.npz.xz", {"rate_hz": 100}, {"emg": (100720, 10), "angles": (100720, 22)}, "envelope",
     ("", "")),
    ("arm-shoulder-mhe/subject_1/abd.npz", {}, {"emg": (645, 10), "angles": (645, 9), "markers": (645, 16, 3)},
     "envelope", ("pectoralis major", "latissimus dorsi")),
    ("arm-shoulder-mhe/subject_3_biosiglive/abd_raw.npz", {}, {"emg": (14000, 10), "markers": (700, 16, 3)}, "raw",
     ("pectoralis major", "latissimus dorsi")),
    ("gait-falisse2019/ExperimentalData.mat", {"rate_hz": 100}, {"emg": (1600, 14), "angles": (1600, 19)}, "envelope",
     ("hamstrings lateralis", "tensor fasciae latae")),
    ("sts-gait120-envelopes/V_cycles.npy", {"rate_hz": 100}, {"emg": (14800, 12)}, "envelope", ("", "")),
]  # fmt: skip


@pytest.mark.parametrize(("file", "options", "shapes", "stage", "muscles"), REAL, ids=[r[0] for r in REAL])
def test_real_files_open_with_their_signals(
    file: str, options: dict, shapes: dict, stage: str, muscles: tuple, shared_data: Path
) -> None:
    recording = read(shared_data / file, **options)
    assert {n: recording.signals[n].shape for n in shapes} == shapes
    assert ("emg" in recording) == bool(stage)
    if stage:
        assert recording["emg"].attrs["stage"] == stage
        names = recording["emg"].coords["name"].values
        assert (names[0], names[-1]) == muscles


def test_units_of_the_real_tables_are_theirs(shared_data: Path) -> None:
    ik = read(shared_data / "gait-biomechzoo/HC002D/simulated/HC002D06/ik.mot")["angles"]
    units = dict(zip(ik.joint.values.tolist(), ik.coords["unit"].values.tolist()))
    assert units["knee_angle_r"] == "deg" and units["pelvis_tx"] == "m"
    knee = read(shared_data / "leg-uci-knee/N_TXT/1Nmar.txt.xz")
    assert knee["emg"].attrs["units"] == "mV" and knee["angles"].attrs["units"] == "deg"
    assert np.isnan(knee["emg"].values[-19:]).all()  # the goniometer runs on for 19 ms
