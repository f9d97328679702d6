"""An amplifier and a motion capture with clocks of their own, from two files and a study.toml to one recording."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

import numpy as np
import pytest
from scipy.signal import butter, sosfilt

from myodrive import add_device, cli, read, read_study, write
from myodrive.errors import MyodriveError
from myodrive.io import describe
from myodrive.recording import Alignment, Recording, Source, make_events, make_signal

OFFSET_S, DRIFT = 1.75, 4e-5  # time = OFFSET_S + (1 + DRIFT) · time of the motion capture
PULSES_S = np.array([2.0, 2.7, 4.1, 4.6, 6.9, 8.2, 9.9])  # on the amplifier's clock


def pulses(rate_hz: float, starts_s: np.ndarray, name: str, n_time: int) -> Recording:
    """5 V for 20 ms from each start on."""
    time = np.arange(n_time) / rate_hz
    on = ((time[:, None] >= starts_s) & (time[:, None] < starts_s + 0.02)).any(axis=1)
    signal = make_signal(5.0 * on[:, None], ("time", "channel"), {"channel": [name]}, units="V", rate_hz=rate_hz)
    return Recording({"analog": signal})


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """amplifier.nc with EMG and Trig, capture.nc with Sync, a knee angle and an event, each on its own clock."""
    rng = np.random.default_rng(0)
    shape = butter(2, [40, 150], "bandpass", fs=1000.0, output="sos")
    loud = 1 + 9 * (np.arange(12_000) % 1000 < 500)
    values = sosfilt(shape, rng.normal(size=(12_000, 2)), axis=0) * loud[:, None] * 1e-5
    labels = ["soleus_r", "tibialis anterior_r"]
    emg = make_signal(values, ("time", "muscle"), {"muscle": labels}, units="V", rate_hz=1000.0, stage="raw")
    amplifier = pulses(1000.0, PULSES_S, "Trig", 12_000).with_signal("emg", emg)
    write(amplifier.replace(source=Source("a.edf", "ab" * 32, "edf")), tmp_path / "amplifier.nc")
    capture = pulses(2000.0, (PULSES_S - OFFSET_S) / (1 + DRIFT), "Sync", 18_000)
    knee = make_signal(rng.normal(size=(900, 1)), ("time", "joint"), {"joint": ["knee"]}, units="deg", rate_hz=100.0)
    strike = make_events([(3.0, "Foot Strike", "right")])
    capture = capture.with_signal("angles", knee).replace(events=strike, source=Source("c.c3d", "cd" * 32, "c3d"))
    write(capture, tmp_path / "capture.nc")
    return tmp_path


def study(folder: Path, device: str) -> Path:
    table = "[[recording.device]]" if "trigger" in device else "[recording.device]"  # one may stand alone
    text = f'[[recording]]\nfile = "amplifier.nc"\nsubject = "S1"\n{table}\n{device}\n'
    (folder / "study.toml").write_text(text, encoding="utf-8")
    return folder / "study.toml"


def run(*arguments: str | Path, monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.setattr(sys, "argv", ["myodrive", *map(str, arguments)])
    with pytest.raises(SystemExit) as end:
        cli.main()
    return int(end.value.code or 0)


def test_a_study_ties_two_devices_by_their_trigger_from_the_command_line_to_the_report(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    toml = study(folder, 'file = "capture.nc"\ntrigger = "Sync"\nreference = "Trig"')
    assert run("convert", toml, folder / "both.nc", monkeypatch=monkeypatch) == 0
    both = read(folder / "both.nc")
    assert both.subject == "S1" and list(both.signals) == ["analog", "emg", "analog_2", "angles"]
    assert both.alignments.keys() == {"analog_2", "angles"}
    found = both.alignments["angles"]
    assert abs(found.offset_s - OFFSET_S) < 1e-3 and abs(found.drift - DRIFT) < 1e-4 and found.n_points == 7
    moved = OFFSET_S + (1 + DRIFT) * read(folder / "capture.nc")["angles"].time.values
    np.testing.assert_allclose(both["angles"].time, moved, atol=1e-3)
    np.testing.assert_allclose(both.events["time"], OFFSET_S + (1 + DRIFT) * 3.0, atol=1e-3)
    assert run("info", folder / "both.nc", monkeypatch=monkeypatch) == 0
    assert re.search(r"angles +moved by 1\.7.* ppm.*\(trigger\)", capsys.readouterr().out)
    assert describe(both).to_dict()["alignments"]["angles"]["n_points"] == 7

    out = folder / "out"
    assert run("estimate", toml, "--method", "low-pass", "--out", out, monkeypatch=monkeypatch) == 0
    page = (out / "report.html").read_text(encoding="utf-8")
    assert re.search(r"Clock of angles</dt><dd>moved by 1\.7.*\(trigger\)", page)
    data = json.loads((out / "run.json").read_text(encoding="utf-8"))["data"]
    assert data[0]["sha256"] == "ab" * 32 + "+" + "cd" * 32


def test_a_stated_offset_and_a_shared_signal_tie_two_devices_too(folder: Path) -> None:
    stated = read_study(study(folder, f'file = "capture.nc"\noffset_s = {OFFSET_S}\ndrift = {DRIFT}'))[0]
    assert stated.alignments["angles"] == Alignment("stated", OFFSET_S, DRIFT)
    same = 'file = "capture.nc"\nshared_signal = "Sync"\nreference = "Trig"\nwindow_s = 4'
    shared = read_study(study(folder, same))[0].alignments["angles"]
    assert shared.method == "shared signal" and abs(shared.offset_s - OFFSET_S) < 2e-3


def test_joining_devices_changes_no_sample_and_needs_no_file(folder: Path) -> None:
    amplifier, capture = read(folder / "amplifier.nc"), read(folder / "capture.nc")
    both = add_device(amplifier, capture, Alignment("stated", 1.0))
    for name, signal in amplifier.signals.items():
        assert both[name].identical(signal)
    for name, moved in (("analog", "analog_2"), ("angles", "angles")):
        np.testing.assert_array_equal(both[moved].values, capture[name].values)
        np.testing.assert_array_equal(both[moved].time, 1.0 + capture[name].time)


@pytest.mark.parametrize(
    ("device", "says"),
    [
        ('trigger = "Sync"', "device.* without file"),
        ('file = "capture.nc"', "capture.nc: its clock is tied by nothing. Say exactly one of trigger"),
        ('file = "capture.nc"\ntrigger = "Sync"\noffset_s = 1', "tied by trigger and offset_s"),
        ('file = "capture.nc"\ntrigger = "Sync"\ndrift = 1e-5', "drift does not go with trigger"),
        ('file = "capture.nc"\noffset_s = "soon"', "offset_s is a number, not 'soon'"),
        ('file = "capture.nc"\ntrigger = 3', "trigger is a channel's label, not 3"),
        ('file = "capture.nc"\noffset = 3', "unknown key 'offset'"),
        ('file = "capture.nc"\noffset_s = nan', "offset_s is a number, not nan"),
        (
            'file = "capture.nc"\noffset_s = 1\ndrift = 9',
            "capture.nc beside amplifier.nc: an offset of 1 s with a drift",
        ),
        ('file = "capture.nc"\nshared_signal = "Sync"\nwindow_s = 0', "window_s is a positive number, not 0"),
        ('file = "missing.nc"\noffset_s = 3', "missing.nc: there is no such file"),
        (
            'file = "capture.nc"\ntrigger = "Sync"',
            r"amplifier.nc: no channel 'Sync' to align by. Found: Trig, soleus_r",
        ),
        ('file = "capture.nc"\nshared_signal = "knee"\nreference = "Trig"', "capture.nc beside amplifier.nc: the two"),
    ],
)
def test_clocks_that_cannot_be_tied_end_in_one_sentence_and_leave_nothing(
    device: str, says: str, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    toml = study(folder, device)
    before = sorted(folder.iterdir())
    assert run("convert", toml, folder / "both.nc", monkeypatch=monkeypatch) == 2
    said = capsys.readouterr().err
    assert re.match(f"myodrive: .*{says}", said) and "Traceback" not in said, said
    assert sorted(folder.iterdir()) == before


def test_what_the_refusals_ask_for_ties_evenly_spaced_pulses_with_a_spike_among_them(folder: Path) -> None:
    even_s = np.arange(2.0, 10.0, 1.0)
    amplifier = pulses(1000.0, even_s, "Trig", 12_000)
    amplifier["analog"].values[100] = 80.0  # half of it is above every pulse
    write(amplifier, folder / "amplifier.nc")
    write(pulses(2000.0, even_s - OFFSET_S, "Sync", 10_000), folder / "capture.nc")
    ways = 'file = "capture.nc"\ntrigger = "Sync"\nreference = "Trig"\nreference_threshold = 2.5\n'
    with pytest.raises(MyodriveError, match="near_s"):
        read_study(study(folder, ways))
    recording = read_study(study(folder, ways + "near_s = 1.6\nthreshold = 1.0"))[0]
    assert abs(recording.alignments["analog_2"].offset_s - OFFSET_S) < 1e-3
