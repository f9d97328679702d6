"""What is written comes back: to the last bit where the format allows it, to its own precision elsewhere."""

from __future__ import annotations

import gzip
import lzma
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from myodrive.activation import Activation
from myodrive.errors import FileError, SignalError
from myodrive.io import as_recording, describe, read, read_study, study_files, write
from myodrive.io.channels import find_stage
from myodrive.muscles import recognise
from myodrive.recording import Alignment, Recording, Source, Study, make_events, make_signal

LABELS = ("L Rect", "R Tib Ant", "soleus_r", "GMED")


def make_recording(n_time: int = 200, rate_hz: float = 1000.0, seed: int = 0, start_s: float = 0.0) -> Recording:
    rng = np.random.default_rng(seed)
    emg = make_signal(
        rng.normal(size=(n_time, 4)),
        ("time", "muscle"),
        {"muscle": LABELS},
        units="mV",
        rate_hz=rate_hz,
        start_s=start_s,
        stage="raw",
    )
    named = [recognise(label) for label in LABELS]
    emg = emg.assign_coords(name=("muscle", [n for n, _ in named]), side=("muscle", [s for _, s in named]))
    markers = make_signal(
        rng.normal(size=(n_time // 10, 3, 3)).astype(np.float32),
        ("time", "marker", "axis"),
        {"marker": ["LASI", "RASI", "C7"], "axis": ["x", "y", "z"]},
        units="mm",
        rate_hz=rate_hz / 10,
        start_s=start_s,
    )
    events = make_events([(start_s + 0.02, "Foot Strike", "left"), (start_s + 0.1, "Foot Off", "right")])
    return Recording({"emg": emg, "markers": markers}, events=events, subject="S1")


def assert_same(one: Recording, other: Recording) -> None:
    assert list(one.signals) == list(other.signals)
    for name, signal in one.signals.items():
        xr.testing.assert_identical(signal, other.signals[name])
        assert signal.dtype == other.signals[name].dtype
    pd.testing.assert_frame_equal(one.events, other.events)
    for field in ("subject", "session", "movement", "repetition", "source", "alignments", "info"):
        assert getattr(one, field) == getattr(other, field), field


texts = st.text(st.characters(codec="utf-8", exclude_characters="\0", exclude_categories=["Cs"]), max_size=8)


@pytest.mark.parametrize("suffix", [".nc", ".npz", ".mat"])
@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(label=texts, who=texts, note=texts, offset_s=st.floats(-1e6, 1e6))
def test_a_recording_comes_back_identical(
    label: str, who: str, note: str, offset_s: float, suffix: str, tmp_path: Path
) -> None:
    recording = make_recording(20).replace(
        events=make_events([(0.1, label, "left"), (0.1, "", "")]),
        subject=who,
        session=note,
        source=Source("a.c3d", "00", "c3d", (who, label)),
        alignments={"emg": Alignment("stated", offset_s, 1e-6, 0.01, 3)},
        info={"mass": offset_s, "nested": {"a": [1, None, note]}},
    )
    assert_same(recording, read(write(recording, tmp_path / f"a{suffix}")))


def test_values_that_are_hard_to_keep_come_back_identical(tmp_path: Path) -> None:
    recording = make_recording()
    emg = recording["emg"].copy()
    emg[3, 1], emg[4, 1], emg[5, 1] = np.nan, np.inf, -0.0
    emg.attrs.update(quantile=np.float32(0.1), cutoffs_hz=np.array([20, 450]), nested={"a": 1})
    whole = make_signal(np.arange(6, dtype=np.int16).reshape(3, 2), ("time", "channel"), {"channel": ["a", "a/b"]},
                        units="", time=np.array([0.0, 0.1, 0.7]))  # fmt: skip
    flags = whole.astype(bool).assign_coords(unit=("channel", ["V", ""])).rename("flags")
    recording = recording.replace(
        signals={"emg": emg, "a name/with signs": whole, "flags": flags, "empty": whole[:0]}, events=make_events([])
    )
    again = read(write(recording, tmp_path / "a.nc"))
    assert_same(recording, again)
    assert again["emg"].attrs["quantile"].dtype == np.float32
    assert np.signbit(again["emg"].values[5, 1])


@pytest.mark.parametrize("dims", [("time", "muscle"), ("trial", "time", "muscle")])
def test_an_activation_and_a_study_come_back_identical(dims: tuple[str, ...], tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    values = xr.DataArray(
        rng.random((2, 30, 3)[3 - len(dims) :]),
        dims=dims,
        coords={"time": np.arange(30) / 100, "muscle": ["a", "b", "c"], "side": ("muscle", ["left", "", ""])},
    )
    values[..., 3, 1] = np.nan
    activation = Activation(
        values, method="bayes", relative_to="q95", lower=values - 0.1, upper=values + 0.1, interval_level=0.9,
        configuration={"a": [1, 2]}, seed=3, notes=["x"],
    )  # fmt: skip
    path = write(activation, tmp_path / "a.nc")
    from myodrive.io.netcdf import read_netcdf

    again = read_netcdf(path)
    assert isinstance(again, Activation)
    xr.testing.assert_identical(activation.dataset, again.dataset)

    study = Study([make_recording(seed=1), make_recording(seed=2)], "two")
    back = read_study(write(study, tmp_path / "s.nc"))
    assert back.name == "two" and len(back) == 2
    assert_same(study[1], back[1])


@pytest.mark.parametrize("suffix", [".csv", ".tsv", ".parquet"])
@pytest.mark.parametrize("with_interval", [True, False])
@pytest.mark.parametrize("converted", [True, False])
def test_an_activation_in_a_table_comes_back_as_one_with_its_interval(
    suffix: str, with_interval: bool, converted: bool, tmp_path: Path
) -> None:
    labels = ["trapezius", "trapezius_lower", "soleus"]  # the second is a muscle, no bound
    if suffix == ".parquet":
        labels[1] = "lower trapezius"
    values = make_signal(np.random.default_rng(0).random((20, 3)), ("time", "muscle"), {"muscle": labels}, units="1",
                         rate_hz=500.0)  # fmt: skip
    values[4, 1] = np.nan
    interval = {"lower": values - 0.1, "upper": values + 0.1, "interval_level": 0.9} if with_interval else {}
    activation = Activation(values, method="bayes", relative_to="q95", **interval)
    again = read(write(as_recording(activation) if converted else activation, tmp_path / f"a{suffix}"))
    wanted = as_recording(activation).signals
    assert again.signals.keys() == wanted.keys() and not again.source.warnings
    for name, signal in wanted.items():
        xr.testing.assert_equal(again[name], signal)
        assert again[name].attrs["units"] == "1"


def test_parquet_refuses_a_muscle_that_is_called_like_the_bound_of_another(tmp_path: Path) -> None:
    values = make_signal(np.ones((5, 2)), ("time", "muscle"), {"muscle": ["TA", "TA_lower"]}, units="1", rate_hz=500.0)
    activation = Activation(values, method="bayes", relative_to="q95", lower=values, upper=values, interval_level=0.9)
    with pytest.raises(SignalError, match=r"'TA_lower'.*Write \.csv"):
        write(activation, tmp_path / "a.parquet")


def test_tables_of_activation_from_before_their_columns_were_marked_are_still_read(tmp_path: Path) -> None:
    header = "time,soleus_r,soleus_r_lower,soleus_r_upper"
    rows = [f"{i / 500},{i % 7},{i % 7 - 0.1},{i % 7 + 0.1}" for i in range(50)]
    (tmp_path / "old.csv").write_text("\n".join([header, *rows]) + "\n", encoding="utf-8")
    recording = read(tmp_path / "old.csv", emg="soleus_r")
    assert recording["emg"].values[:, 0].tolist() == [i % 7 for i in range(50)]
    assert recording["analog"].channel.values.tolist() == ["soleus_r_lower", "soleus_r_upper"]


@pytest.mark.parametrize(
    ("suffix", "tolerance"),
    [(".sto", 0), (".mot", 0), (".csv", 0), (".tsv", 0), (".parquet", 0), (".nwb", 1e-15), (".c3d", 6e-8),
     (".edf", 2**-16), (".bdf", 2**-24)],
)  # fmt: skip
def test_emg_comes_back_to_the_precision_of_the_format(suffix: str, tolerance: float, tmp_path: Path) -> None:
    recording = make_recording(rate_hz=2000.0)
    if suffix in (".edf", ".bdf"):
        recording = recording.replace(signals={"emg": recording["emg"]})
    again = read(write(recording, tmp_path / f"a{suffix}"))
    emg, wanted = again["emg"], recording["emg"]
    spread = np.ptp(wanted.values) if suffix in (".edf", ".bdf") else np.abs(wanted.values).max()
    np.testing.assert_allclose(emg.values, wanted.values, rtol=0, atol=tolerance * spread)
    np.testing.assert_allclose(emg.time, wanted.time, rtol=0, atol=1e-12)
    found = [str(m).replace("_", " ") for m in emg.muscle.values]
    assert found == [label.replace("_", " ") for label in LABELS]
    assert emg.coords["name"].values.tolist() == wanted.coords["name"].values.tolist()
    if suffix in (".nwb", ".c3d", ".edf", ".bdf"):
        assert again.events[["label", "side"]].equals(recording.events[["label", "side"]])
        np.testing.assert_allclose(again.events["time"], recording.events["time"], atol=1e-6)
        assert emg.attrs["units"] == "mV"


def test_each_device_of_a_text_keeps_its_own_clock(tmp_path: Path) -> None:
    header = '"X [s]","Trigno 1: EMG 1 [V]","X [s]","Trigno 1: ACC 1.X [g]","X [s]","Trigno 2: EMG 2 [V]"\n'
    rows = [
        f"{i / 2000},{i % 3 - 1},{i / 150 if i < 8 else ''},{0.5 if i < 8 else ''},{i / 2000},{i}\n" for i in range(100)
    ]
    (tmp_path / "trigno.csv").write_text(header + "".join(rows), encoding="utf-8")
    recording = read(tmp_path / "trigno.csv", already="raw")
    assert {n: s.shape for n, s in recording.signals.items()} == {"emg": (100, 2), "analog": (8, 1)}
    assert recording["analog"].time.values[1] == pytest.approx(1 / 150)
    assert recording["analog"].attrs["units"] == "g"


def test_awkward_labels_come_back_from_text(tmp_path: Path) -> None:
    labels = ["TA", "TA (2)", 'so "called"', "a, b", "left [1]"]
    for suffix, units in ((".csv", "mV"), (".tsv", "mV"), (".csv", "1")):
        emg = make_signal(np.eye(5), ("time", "muscle"), {"muscle": labels}, units=units, rate_hz=1000.0, stage="raw")
        again = read(write(Recording({"emg": emg}), tmp_path / f"a{suffix}"), emg="*")["emg"]
        assert again.muscle.values.tolist() == labels and again.attrs["units"] == units


def test_markers_come_back_from_c3d_and_trc(tmp_path: Path) -> None:
    recording = make_recording()
    markers = recording["markers"].copy()
    markers[2:4, 1] = np.nan  # not seen
    recording = recording.with_signal("markers", markers)
    for suffix in (".c3d", ".trc"):
        again = read(write(recording, tmp_path / f"a{suffix}"))["markers"]
        np.testing.assert_array_equal(again.values, markers.values)
        assert again.marker.values.tolist() == markers.marker.values.tolist()
        np.testing.assert_allclose(again.time, markers.time, atol=1e-9)


def test_c3d_holds_more_than_255_channels_and_files_without_markers(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    labels = [f"EMG{i:03d}" for i in range(300)]
    emg = make_signal(rng.normal(size=(7, 300)), ("time", "muscle"), {"muscle": labels}, units="V", rate_hz=2000.0)
    again = read(write(Recording({"emg": emg}), tmp_path / "many.c3d"))
    assert list(again.signals) == ["emg"]
    assert again["emg"].muscle.values.tolist() == labels
    np.testing.assert_allclose(again["emg"].values, emg.values, rtol=6e-8)


def test_an_analog_only_c3d_keeps_every_sample(tmp_path: Path) -> None:
    # 12500 Hz over 126 samples a frame is no whole rate: the library would lose one sample of each frame.
    emg = make_signal(
        np.arange(1.0, 253.0)[:, None], ("time", "muscle"), {"muscle": ["TA"]}, units="V", rate_hz=12500.0
    )
    again = read(write(Recording({"emg": emg}), tmp_path / "mvc.c3d"), already="raw")["emg"]
    np.testing.assert_array_equal(again.values, emg.values)
    np.testing.assert_allclose(again.time, emg.time, atol=1e-12)


def test_what_a_format_cannot_hold_is_refused_and_leaves_nothing(tmp_path: Path) -> None:
    recording = make_recording()
    gap = recording["emg"].copy()
    gap[3, 0] = np.nan
    for suffix, broken in (
        (".edf", recording.with_signal("emg", gap)),
        (".c3d", recording.with_signal("analog", recording["emg"][::2].rename(muscle="channel"))),
        (".sto", recording.replace(signals={"markers": recording["markers"]})),
    ):
        with pytest.raises(SignalError):
            write(broken, tmp_path / f"a{suffix}")
    assert list(tmp_path.iterdir()) == []


def test_packed_text_and_npz_are_read_like_plain_ones(tmp_path: Path) -> None:
    recording = make_recording()
    for suffix in (".csv", ".sto", ".npz"):
        plain = write(recording, tmp_path / f"a{suffix}")
        for packing, pack in ((".gz", gzip.compress), (".xz", lzma.compress)):
            packed = tmp_path / f"a{suffix}{packing}"
            packed.write_bytes(pack(plain.read_bytes()))
            xr.testing.assert_identical(read(packed)["emg"], read(plain)["emg"])


@pytest.mark.parametrize(
    ("text", "shape", "units"),
    [
        ("time,L TA,R SOL\n0,1.5,2\n0.001,-3,4\n0.002,5,-6\n", (3, 2), ""),
        ("Time [s]\tL TA [mV]\tR SOL [mV]\n0\t1.5\t2\n0.001\t-3\t4\n0.002\t5\t-6\n", (3, 2), "mV"),
        ("time;L TA;R SOL\ns;uV;uV\n0;1,5;2\n0,001;-3;4\n0,002;5;-6\n", (3, 2), "µV"),
        ("# Sampling rate: 1000 Hz\n% made by hand\nL TA R SOL\n", None, ""),
        ("Sampling frequency: 1000 Hz\nL_TA\tR_SOL\n1.5\t2\n-3\t4\n5\t-6\n", (3, 2), ""),
        ('"Time,ms","LT TIBIALIS ANT.,uV","RT SOLEUS,uV"\n0,1.5,2\n1,-3,4\n2,5,-6\n', (3, 2), "µV"),
        ("time,L TA,R SOL\r\n0,1.5,2\r\n0.001,nan,\r\n0.002,5,-6\r\n,,\r\nnan,nan,nan\r\n", (3, 2), ""),
    ],
)
def test_dialects_of_text_are_read(text: str, shape: tuple[int, int] | None, units: str, tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes(text.encode("utf-8"))
    if shape is None:
        with pytest.raises(Exception, match="no row of numbers"):
            read(path)
        return
    emg = read(path)["emg"]
    assert emg.shape == shape
    assert emg.values[0].tolist() == [1.5, 2.0] and emg.values[2].tolist() == [5.0, -6.0]
    np.testing.assert_allclose(emg.time, [0, 0.001, 0.002])
    assert emg.attrs["units"] == units
    assert emg.coords["name"].values.tolist() == ["tibialis anterior", "soleus"]
    assert emg.coords["side"].values.tolist() == ["left", "right"]


@pytest.mark.parametrize(
    "header",
    [
        "Coordinates\nversion=1\nnRows=3\nnColumns=3\ninDegrees=yes\n\nUnits are S.I.\n\nendheader\n",
        "name a.mot\ndatacolumns 3\ndatarows 3\nrange 0 0.3\ninDegrees yes\nendheader\n",
        "Coordinates\ninDegrees=yes\nnr=3\nnc=3\nendheader\n",
        "inDegrees=yes\nDataType=double\nversion=3\nOpenSimVersion=4.5\nendheader\n",
    ],
)
def test_dialects_of_opensim_headers_are_read(header: str, tmp_path: Path) -> None:
    path = tmp_path / "a.mot"
    rows = "0\t1\t0.5\n0.1\t2\t0.6\n0.25\t3\t0.7\n"  # a variable time step
    path.write_text(header + "time\t/jointset/knee_r/knee_angle_r/value\tpelvis_tx\n" + rows, encoding="utf-8")
    angles = read(path)["angles"] if "Coord" in header else next(iter(read(path).signals.values()))
    assert angles.time.values.tolist() == [0, 0.1, 0.25]
    assert angles.values[:, 0].tolist() == [1, 2, 3]
    if "angles" in read(path):
        assert angles.coords["unit"].values.tolist() == ["deg", "m"]


@pytest.mark.parametrize("suffix", [".csv", ".nc", ".npz"])
def test_channels_are_chosen_by_name_pattern_and_order(suffix: str, tmp_path: Path) -> None:
    path = write(make_recording(), tmp_path / f"a{suffix}")
    assert read(path, emg="L.*")["emg"].muscle.values.tolist() == ["L Rect"]
    assert read(path, emg=["GMED", "R*"])["emg"].muscle.values.tolist() == ["GMED", "R Tib Ant"]
    renamed = read(path, muscles={"GMED": "left gluteus maximus"})["emg"]
    assert renamed.coords["name"].values[3] == "gluteus maximus" and renamed.coords["side"].values[3] == "left"
    with pytest.raises(SignalError, match=rf"a{suffix}: no channel matches 'EMG\*'\. Found: L Rect, R Tib Ant"):
        read(path, emg="EMG*")


@pytest.mark.parametrize(("cutoff_hz", "stage"), [(None, "rectified"), (6.0, "envelope")])
def test_the_stage_of_emg_is_seen_in_its_samples(cutoff_hz: float | None, stage: str) -> None:
    from scipy.signal import butter, sosfiltfilt

    rng = np.random.default_rng(0)
    raw = sosfiltfilt(butter(2, [20, 450], "bandpass", fs=2000, output="sos"), rng.normal(size=(20_000, 3)), axis=0)
    raw *= 0.1 + np.abs(np.sin(np.arange(20_000) / 2000 * np.pi))[:, None]
    assert find_stage(raw, 2000.0)[0] == "raw"
    assert find_stage(raw + 10.0, 2000.0)[0] == "raw"
    seen = np.abs(raw)
    if cutoff_hz:
        seen = sosfiltfilt(butter(4, cutoff_hz, fs=2000, output="sos"), seen, axis=0)
    assert find_stage(seen, 2000.0)[0] == stage


def test_several_actions_in_one_file_stand_in_a_row_with_missing_samples_between(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    actions = {
        name: rng.integers(-4000, 4000, (n, 8)).astype(np.int16) for name, n in (("bowing", 300), ("running", 200))
    }
    np.savez(tmp_path / "sub01.npz", **actions)
    with pytest.raises(SignalError, match="no sampling rate is known"):
        read(tmp_path / "sub01.npz")
    recording = read(tmp_path / "sub01.npz", rate_hz=1000)
    emg = recording["emg"]
    assert recording.events["label"].tolist() == ["bowing", "running"]
    start = int(np.searchsorted(emg.time.values, recording.events["time"][1]))
    np.testing.assert_array_equal(emg.values[:300], actions["bowing"])
    np.testing.assert_array_equal(emg.values[start:], actions["running"])
    assert np.isnan(emg.values[300:start]).all() and start > 300


def test_a_bids_folder_says_which_channels_are_emg(tmp_path: Path) -> None:
    recording = make_recording(rate_hz=1000.0)
    analog = make_signal(
        np.arange(20.0)[:, None], ("time", "channel"), {"channel": ["knee"]}, units="deg", rate_hz=100.0
    )
    stem = "sub-07_task-walk_run-2"
    path = tmp_path / f"{stem}_emg.bdf"
    write(recording.replace(signals={"emg": recording["emg"], "analog": analog}, events=make_events([])), path)
    rows = ["name\ttype\tunits\tstatus", "L Rect\tEMG\tmV\tgood", "R Tib Ant\tEMG\tmV\tbad", "soleus_r\tMISC\tmV\tgood"]
    (tmp_path / f"{stem}_channels.tsv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    (tmp_path / f"{stem}_events.tsv").write_text("onset\tduration\ttrial_type\n0.05\t0\tstep\n", encoding="utf-8")
    (tmp_path / f"{stem}_emg.json").write_text('{"TaskName": "walk"}', encoding="utf-8")
    again = read(path)
    assert again["emg"].muscle.values.tolist() == ["L Rect", "R Tib Ant", "GMED"]
    assert (again.subject, again.movement, again.repetition) == ("07", "walk", "2")
    assert again.events["label"].tolist() == ["step"] and again.info["TaskName"] == "walk"
    assert any("R Tib Ant" in w for w in again.source.warnings)
    assert {s.sizes["time"] for s in again.signals.values()} == {200, 20}  # each channel at its own rate


RECORD_S = 1.0


def write_with_gaps(path: Path, starts: list[bytes]) -> Recording:
    """An EDF+D or BDF+D file whose records begin as said, of EMG at 1000 Hz and a sensor at 100; without the gaps."""
    n = len(starts)
    values = np.random.default_rng(0).normal(size=(round(n * RECORD_S * 1000), 2))
    emg = make_signal(values, ("time", "muscle"), {"muscle": ["TA", "SOL"]}, units="mV", rate_hz=1000.0, stage="raw")
    sensor = make_signal(values[::10, :1], ("time", "channel"), {"channel": ["knee"]}, units="deg", rate_hz=100.0)
    room = make_events([(i * RECORD_S, "x" * 60, "") for i in range(n)])  # in each record's annotations
    recording = read(write(Recording({"emg": emg, "angles": sensor}, room), path))
    content = bytearray(path.read_bytes())
    header_bytes, n_channels, n_bytes = int(content[184:192]), int(content[252:256]), 3 if path.suffix == ".bdf" else 2
    assert int(content[236:244]) == n and float(content[244:252]) == RECORD_S
    counts = [int(content[256 + 216 * n_channels + 8 * i :][:8]) for i in range(n_channels)]
    labels = [content[256 + 16 * i :][:16] for i in range(n_channels)]
    before = next(i for i, label in enumerate(labels) if label.endswith(b"Annotations "))
    content[192:197] = content[192:195] + b"+D"
    for i, start in enumerate(starts):
        place = header_bytes + n_bytes * (i * sum(counts) + sum(counts[:before]))
        size = n_bytes * counts[before]
        said = start + b"\x14\x14\0" + start + b"\x14hop\x14\0" if start else b""
        content[place : place + size] = said.ljust(size, b"\0")
    path.write_bytes(content)
    return recording


@pytest.mark.parametrize("suffix", [".edf", ".bdf"])
def test_gaps_between_the_records_of_an_edf_are_missing_samples_on_one_clock(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"gaps{suffix}"
    without = write_with_gaps(path, [b"+0.25", b"+1.25", b"+3.75", b"+5.25"])
    found = read(path)
    for name, rate in (("emg", 1000), ("analog", 100)):
        wanted = np.full((round(6 * rate), without[name].shape[1]), np.nan)
        for k, start_s in enumerate([0.0, 1.0, 3.5, 5.0]):
            piece = without[name].values[round(k * RECORD_S * rate) : round((k + 1) * RECORD_S * rate)]
            wanted[round(start_s * rate) : round((start_s + RECORD_S) * rate)] = piece
        np.testing.assert_array_equal(found[name].values, wanted)
        np.testing.assert_allclose(found[name].time, np.arange(len(wanted)) / rate)
    assert found.events["time"].tolist() == [0.0, 1.0, 3.5, 5.0]
    assert "gaps in time (2, together 2 s)" in found.source.warnings[0]


def test_records_of_an_edf_off_the_clock_of_its_samples_are_moved_to_it_and_that_is_said(tmp_path: Path) -> None:
    write_with_gaps(tmp_path / "a.edf", [b"+0", b"+1", b"+3.0004"])
    found = read(tmp_path / "a.edf", emg=["TA", "SOL"])
    assert np.isfinite(found["emg"].values[3000:]).all() and found["emg"].sizes["time"] == 4000
    assert any("moved by up to 0.4 ms" in w for w in found.source.warnings)


@pytest.mark.parametrize(
    ("starts", "says"),
    [
        ([b"+0", b"", b"+4"], "its record 2 does not say when it begins.*continuous"),
        ([b"+0", b"+1", b"+1.5"], "record 3 begins at 1.5 s, before the one ahead of it ends"),
        ([b"+0", b"+1", b"+99999999999"], "gaps so long"),
    ],
)
def test_gaps_of_an_edf_that_cannot_be_placed_are_refused(starts: list[bytes], says: str, tmp_path: Path) -> None:
    write_with_gaps(tmp_path / "a.edf", starts)
    with pytest.raises(FileError, match=says):
        read(tmp_path / "a.edf")


def test_a_study_is_found_in_folders_and_in_a_toml(tmp_path: Path) -> None:
    for place in ("S1/walk", "S1/run", "S2/walk"):
        write(make_recording(), tmp_path / place / "a.csv")
    write(make_recording(), tmp_path / "S1" / "computed.sto")  # results beside recordings are none
    (tmp_path / "S1" / "README.txt").write_text("notes", encoding="utf-8")
    found = [(e.subject, e.movement) for e in study_files(tmp_path)]
    assert found == [("S1", "run"), ("S1", "walk"), ("S2", "walk")]

    (tmp_path / "study.toml").write_text(
        '[study]\nname = "mine"\nemg = "L.*"\n'
        '[[recording]]\nfile = "S1/walk/a.csv"\nsubject = "one"\n'
        '[[recording]]\nfile = "S2/walk/a.csv"\nemg = "GMED"\nrepetition = 2\n',
        encoding="utf-8",
    )
    study = read_study(tmp_path / "study.toml")
    assert study.name == "mine" and [r.subject for r in study] == ["one", ""]
    assert [r["emg"].muscle.values.tolist() for r in study] == [["L Rect"], ["GMED"]]
    assert study[1].repetition == "2"


def test_a_description_names_every_channel_and_what_it_was_taken_for() -> None:
    summary = describe(make_recording())
    content = summary.to_dict()
    assert [c["muscle"] for c in content["channels"]] == [
        "rectus femoris",
        "tibialis anterior",
        "soleus",
        "gluteus medius",
    ]
    assert content["signals"]["emg"]["rate_hz"] == 1000
    assert content["events"][0] == {"label": "Foot Strike", "side": "left", "count": 1, "first_s": 0.02}
    assert "EMG: right tibialis anterior" in str(summary)


@pytest.mark.parametrize(
    ("label", "muscle", "side"),
    [
        ("L Rect", "rectus femoris", "left"),
        ("Voltage.R Tib Ant", "tibialis anterior", "right"),
        ("EMG: Delt_ant", "anterior deltoid", ""),
        ("soleus_r", "soleus", "right"),
        ("GMED", "gluteus medius", ""),
        ("R-Bic", "biceps brachii", "right"),
        ("bflhr", "biceps femoris caput longum", "right"),
        ("gaslatr", "gastrocnemius lateralis", "right"),
        ("glmax1r", "gluteus maximus", "right"),
        ("/forceset/vasint_l/activation", "vastus intermedius", "left"),
        ("LT TIBIALIS ANT., uV", "tibialis anterior", "left"),
        ("Hamstrings-lateralis", "hamstrings lateralis", ""),
        ("Supra.EMG9", "supraspinatus", ""),
        ("Trap_sup.EMG6", "upper trapezius", ""),
        ("Gd_dors.IM EMG13", "latissimus dorsi", ""),
        ("rectus femoris", "rectus femoris", ""),
        ("Vasto Medial", "vastus medialis", ""),
        ("RGAS", "gastrocnemius", "right"),
        ("Sensor 14.IM EMG14", "", ""),
        ("Voltage.L Spare", "", "left"),
        ("Force.Fx1", "", ""),
        ("LKneeAngles_x", "", ""),
        ("time", "", ""),
    ],
)
def test_labels_that_laboratories_use_are_recognised(label: str, muscle: str, side: str) -> None:
    assert recognise(label) == (muscle, side)


def test_gm_means_what_stands_beside_it() -> None:
    assert recognise("GM", ["GM", "GL", "SO"])[0] == "gastrocnemius medialis"
    assert recognise("GM", ["GM", "RF"])[0] == ""
