"""What cannot be simulated is refused in one sentence that names the place and the remedy, and soon."""

from __future__ import annotations

import dataclasses
import json
import re
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

import myodrive as md
import tiny_arm as arm
from myodrive.errors import FileError, MissingExtraError, MyodriveError, OptionError, SignalError
from myodrive.from_simulation import opensim
from myodrive.from_simulation.ground_forces import ExternalForce, check_forces, find_feet, place_forces, read_forces
from myodrive.from_simulation.marker_map import (
    LONGEST_GAP_S,
    fill_markers,
    match_markers,
    read_marker_maps,
    with_means,
)
from myodrive.io.child import Ended
from myodrive.io.opensim_tables import write_storage, write_trc
from myodrive.recording import make_signal

needs_opensim = pytest.mark.skipif(
    find_spec("opensim") is None, reason="the package opensim, of the extra of that name, is not installed"
)


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return arm.write_all(tmp_path_factory.mktemp("arm"))


def refusal(folder: Path, kind: type[MyodriveError] = SignalError, **changes: object) -> str:
    """What simulating the arm says, with some inputs changed."""
    inputs = {"model": folder / "arm.osim", "markers": folder / "moving.trc", "start_s": 0.4, "end_s": 0.6} | changes
    with pytest.raises(kind) as said:
        md.simulate(**inputs)
    return str(said.value)


@needs_opensim
def test_a_missing_force_file_is_named(folder: Path) -> None:
    assert "nowhere.mot" in refusal(folder, FileError, forces=folder / "nowhere.mot")


@needs_opensim
def test_a_force_file_cut_in_its_header_is_named(folder: Path, tmp_path: Path) -> None:
    cut = tmp_path / "cut.mot"
    cut.write_text("\n".join((folder / "force.mot").read_text().splitlines()[:3]), encoding="utf-8")
    assert "cut.mot: has no line 'endheader'" in refusal(folder, FileError, forces=cut)


@needs_opensim
def test_angles_cut_in_their_header_or_of_another_model_are_refused(folder: Path, tmp_path: Path) -> None:
    angles = make_signal(arm.motion(arm.T)[:, :1], ("time", "joint"), {"joint": ["shoulder"]}, units="rad", time=arm.T)
    table = write_storage(angles.rename("Coordinates"), tmp_path / "half.sto")
    inputs = {"model": folder / "arm.osim", "markers": None, "angles": table, "start_s": None, "end_s": None}
    said = refusal(folder, **inputs)
    assert said.startswith("half.sto: ") and "no column for elbow" in said
    table.write_text("\n".join(table.read_text().splitlines()[:3]), encoding="utf-8")
    assert "half.sto: has no line 'endheader'" in refusal(folder, FileError, **inputs)


@needs_opensim
@pytest.mark.parametrize(
    ("force", "point_unit", "words"),
    [
        ((3.0, 0.0, 12.0), 1.0, "points along z, and OpenSim's vertical is y"),
        ((3.0, -12.0, 0.0), 1.0, "points down"),
        ((0.003, 0.012, 0.0), 1.0, "not in N"),
        (arm.HAND_FORCE_N, 0.001, "in mm"),
        (arm.HAND_FORCE_N, 0.1, "not in one frame"),
    ],
)
def test_forces_in_another_frame_or_unit_are_refused(
    folder: Path, tmp_path: Path, force: tuple[float, float, float], point_unit: float, words: str
) -> None:
    wrong = arm.write_force(tmp_path / "wrong.mot", force, point_unit=point_unit)
    assert words in refusal(folder, forces=wrong)


@needs_opensim
def test_a_model_without_the_markers_says_what_both_have(folder: Path, tmp_path: Path) -> None:
    model = tmp_path / "other.osim"
    text = (folder / "arm.osim").read_text(encoding="utf-8")
    model.write_text(re.sub(r'<Marker name="[A-Z]', '<Marker name="other', text), encoding="utf-8")
    said = refusal(folder, model=model)
    assert "A1, A2, F1, F2" in said and "other1, other1_0, other2" in said and "--marker-map" in said


@needs_opensim
def test_a_muscle_without_a_path_is_named(folder: Path, tmp_path: Path) -> None:
    model = tmp_path / "pathless.osim"
    text = (folder / "arm.osim").read_text(encoding="utf-8")
    model.write_text(re.sub(r"<PathPointSet.*?</PathPointSet>", "", text, count=1, flags=re.S), encoding="utf-8")
    assert "the muscle 'deltoid' has no path" in refusal(folder, model=model)


@needs_opensim
def test_a_model_whose_joint_ties_nothing_is_refused_in_one_sentence(folder: Path, tmp_path: Path) -> None:
    model = tmp_path / "loose.osim"
    text = (folder / "arm.osim").read_text(encoding="utf-8")
    model.write_text(text.replace("/bodyset/fore<", "/bodyset/nowhere<"), encoding="utf-8")
    said = refusal(folder, MyodriveError, model=model)
    assert said.startswith("loose.osim: ") and "\n" not in said


def test_a_model_that_is_cut_short_is_refused(tmp_path: Path) -> None:
    cut = tmp_path / "cut.osim"
    cut.write_text('<OpenSimDocument Version="40000"><Model name="x">', encoding="utf-8")
    with pytest.raises(FileError, match="no whole XML file"):
        opensim.read_model(cut)


def test_a_setup_file_is_not_taken_for_a_model(tmp_path: Path) -> None:
    setup = tmp_path / "setup.xml"
    setup.write_text("<OpenSimDocument><ScaleTool/></OpenSimDocument>", encoding="utf-8")
    with pytest.raises(FileError, match="<ScaleTool>"):
        opensim.read_model(setup)


@needs_opensim
def test_a_marker_unseen_for_half_the_trial_takes_its_body_with_it(folder: Path, tmp_path: Path) -> None:
    recording = arm.markers()
    recording["markers"].values[30:80, 2:] = np.nan
    write_trc(recording, tmp_path / "gap.trc")
    said = refusal(folder, markers=tmp_path / "gap.trc")
    assert "F1" in said and "0.50 s" in said and "0.30 s" in said


def test_short_gaps_are_filled_and_long_ones_leave_the_marker_out() -> None:
    markers = arm.markers()["markers"]
    truth = markers.values.copy()
    markers.values[20:25, 0] = np.nan
    markers.values[40 : 40 + int(LONGEST_GAP_S * arm.RATE_HZ) + 2, 3] = np.nan
    filled, done = fill_markers(markers, "moving.trc")
    assert list(filled.marker.values) == ["A1", "A2", "F1"]
    assert np.abs(filled.values[:, 0] - truth[:, 0]).max() < 0.5  # mm
    assert done["A1"].startswith("filled") and done["F2"].startswith("left out")


def test_the_shipped_maps_know_their_laboratories() -> None:
    markers = dict.fromkeys(("RASI", "LASI", "RLFC", "LLFC", "RCAL", "R.Knee"), "body")
    gait = match_markers(["Anna:RASI", "Anna:LASI", "Anna:RKNE", "Anna:RHEE", "Anna:T10"], markers)
    assert gait.map.name == "plug-in-gait" and gait.used["Anna:RKNE"] == "RLFC"
    assert gait.unused_labels == ("Anna:T10",) and "R.Knee" in gait.unmatched_markers
    assert match_markers(["R_Knee", "rasi", "LASI"], markers).used == {
        "R_Knee": "R.Knee",
        "rasi": "RASI",
        "LASI": "LASI",
    }
    assert set(read_marker_maps()) == {"rajagopal", "plug-in-gait"}


def test_a_marker_between_two_others_is_their_mean_and_is_told() -> None:
    markers = dict.fromkeys(("RASI", "LASI", "SACR"), "pelvis")
    recorded = ["Anna:RASI", "Anna:LASI", "Anna:RPSI", "Anna:LPSI"]
    match = match_markers(recorded, markers, "plug-in-gait")
    assert match.used["SACR"] == "SACR" and match.means == {"SACR": ("Anna:LPSI", "Anna:RPSI")}
    assert not match.unused_labels and not match.unmatched_markers
    values = np.arange(24.0).reshape(2, 4, 3)
    values[1, 3] = np.nan
    signal = make_signal(
        values, ("time", "marker", "axis"), {"marker": recorded, "axis": list("xyz")}, units="m", rate_hz=100.0
    )
    sacrum = with_means(signal, match).sel(marker="SACR").values
    np.testing.assert_array_equal(sacrum, [(values[0, 2] + values[0, 3]) / 2, [np.nan] * 3])
    both_sides = match_markers(recorded, {**markers, "LPSI": "pelvis", "RPSI": "pelvis"}, "plug-in-gait")
    assert not both_sides.means and "SACR" in both_sides.unmatched_markers
    assert not match_markers([*recorded[:3], "SACR"], markers, "plug-in-gait").means


def test_an_unknown_map_and_a_faulty_one_are_refused(tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="rajagopal, plug-in-gait"):
        match_markers(["A", "B", "C"], {"A": "x"}, "helen-hayes")
    faulty = tmp_path / "faulty.toml"
    faulty.write_text("[mine]\nlabel = {A = 'B'}\n", encoding="utf-8")
    with pytest.raises(FileError, match="has label"):
        read_marker_maps(faulty)


def still_feet(t: np.ndarray) -> object:
    places = np.zeros((t.size, 2, 3))
    places[:, 1, 2] = -0.3 - 0.4
    return make_signal(
        places, ("time", "body", "axis"), {"body": ["calcn_r", "calcn_l"], "axis": ["x", "y", "z"]}, units="m", time=t
    )


def step(name: str, z: float, **more: str) -> ExternalForce:
    t = np.arange(0, 1, 0.1)
    force, point = np.tile([0.0, 700.0, 0.0], (t.size, 1)), np.tile([0.05, 0.0, z], (t.size, 1))
    return ExternalForce(name, t, force, point, np.zeros_like(force), **more)


def test_a_force_without_a_side_goes_to_the_nearest_foot() -> None:
    t = np.arange(0, 1, 0.1)
    placed = find_feet([step("plate1", -0.65), step("plate2", 0.0)], still_feet(t), 70.0, "grf.mot")
    assert [f.body for f in placed] == ["calcn_l", "calcn_r"]


def test_steps_in_pound_force_are_noticed_and_half_the_weight_on_one_plate_is_not() -> None:
    around = still_feet(np.arange(0, 1, 0.1))
    for share, refused in ((1.1 / 4.448, True), (0.5, False)):
        plate = step("plate1", 0.0)
        force = dataclasses.replace(plate, force=plate.force * share * 70 * 9.81 / 700)
        if refused:
            with pytest.raises(SignalError, match=r"0.247 times the weight of 70 kg.*pound-force times 4.448"):
                check_forces([force], around, 70.0, "grf.mot")
        else:
            check_forces([force], around, 70.0, "grf.mot")


def test_exchanged_feet_are_noticed() -> None:
    t = np.arange(0, 1, 0.1)
    with pytest.raises(SignalError, match=r"left and right are probably exchanged.*=calcn_l"):
        find_feet([step("right", -0.65, body="calcn_r")], still_feet(t), 70.0, "grf.mot")


def test_a_body_that_is_not_there_is_named() -> None:
    with pytest.raises(OptionError, match=r"no body 'foot' in the model \(found: calcn_r\)"):
        place_forces([step("plate", 0.0)], ["calcn_r"], {"plate": "foot"})


def test_a_table_without_forces_is_refused(tmp_path: Path) -> None:
    table = tmp_path / "angles.mot"
    table.write_text("Coordinates\nnRows=1\nnColumns=2\nendheader\ntime\tknee\n0\t1\n", encoding="utf-8")
    with pytest.raises(SignalError, match="no column holds a force"):
        read_forces(table)


@pytest.mark.parametrize(
    ("script", "words", "time_limit_s"),
    [
        ("import os; print('about to fail'); os.abort()", r"(crashed \(signal|stopped).*about to fail", 600.0),
        ("import time; time.sleep(600)", "did not end within 1 s", 1.0),
        ("import sys; sys.exit(3)", r"exit code 3", 600.0),
    ],
)
def test_a_child_that_dies_or_hangs_is_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str, words: str, time_limit_s: float
) -> None:
    child = tmp_path / "child.py"
    child.write_text(f"import sys; sys.stdout.reconfigure(line_buffering=True)\n{script}\n", encoding="utf-8")
    monkeypatch.setattr(opensim, "_CHILD", child)
    with pytest.raises(FileError, match=words):
        opensim.run_opensim("describe", tmp_path / "arm.osim", {}, time_limit_s=time_limit_s)


def test_a_missing_package_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said = json.dumps({"kind": "missing", "what": "No module", "remedy": "", "by": "ModuleNotFoundError"})
    monkeypatch.setattr(opensim, "spawn", lambda *_, **__: Ended({"refusal.json": said.encode()}, 0, ""))
    with pytest.raises(MissingExtraError, match=r"myodrive\[opensim\]"):
        opensim.run_opensim("describe", tmp_path / "arm.osim", {})


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"cutoff_hz": 0.0}, "above 0 Hz"),
        ({"static": "standing.trc"}, "--mass-kg"),
        ({"mass_kg": 72000.0}, "no person's"),
        ({"angles": "angles.mot"}, "both are given"),
        ({"markers": None}, "neither is given"),
        (
            {"markers": None, "angles": "angles.mot", "static": "standing.trc", "mass_kg": 70.0},
            "a model that is scaled",
        ),
        ({"static_optimization": "fast"}, "own, opensim or none, not 'fast'"),
    ],
)
def test_options_that_make_no_sense_are_refused(options: dict[str, object], words: str) -> None:
    with pytest.raises(OptionError, match=words):
        md.simulate("arm.osim", **{"markers": "moving.trc"} | options)


@needs_opensim
def test_a_stretch_outside_the_recording_says_what_there_is(folder: Path) -> None:
    assert "markers go from 0 to 0.99 s" in refusal(folder, start_s=2.0, end_s=3.0)
