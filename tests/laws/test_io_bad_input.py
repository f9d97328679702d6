"""Bad files end in one clear sentence that names the file, whatever is wrong with them."""

from __future__ import annotations

import io
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest

from myodrive.errors import FileError, MyodriveError, OptionError
from myodrive.io import describe, read, study_files, write
from myodrive.io.child import run_child
from myodrive.recording import Recording, make_events, make_signal

SUFFIXES = (".c3d", ".sto", ".trc", ".csv", ".npz", ".mat", ".edf", ".bdf", ".nc", ".parquet")


def make_file(folder: Path, suffix: str) -> Path:
    rng = np.random.default_rng(0)
    emg = make_signal(rng.normal(size=(100, 2)), ("time", "muscle"), {"muscle": ["TA", "SOL"]}, units="V", rate_hz=1e3)
    markers = make_signal(
        rng.normal(size=(10, 2, 3)), ("time", "marker", "axis"), {"marker": ["A", "B"], "axis": list("xyz")},
        units="mm", rate_hz=100.0,
    )  # fmt: skip
    signals = {"emg": emg} if suffix in (".edf", ".bdf") else {"emg": emg, "markers": markers}
    return write(Recording(signals, events=make_events([(0.01, "a", "")])), folder / f"good{suffix}")


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_damaged_files_are_read_or_refused_but_never_crash(suffix: str, tmp_path: Path) -> None:
    content = make_file(tmp_path, suffix).read_bytes()
    rng = np.random.default_rng(7)
    path = tmp_path / f"damaged{suffix}"
    for _ in range(6 if suffix in (".c3d", ".nc") else 40):
        damaged = bytearray(content)
        for place in rng.integers(0, min(len(content), 4096), size=int(rng.integers(1, 6))):
            damaged[place] = int(rng.integers(256)) if rng.random() < 0.7 else 255 * int(rng.integers(2))
        path.write_bytes(bytes(damaged))
        try:
            str(describe(path))
        except MyodriveError as error:
            assert str(error).startswith(path.name), str(error)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_files_that_are_cut_short_are_refused_unless_they_are_complete_or_carry_a_warning(
    suffix: str, tmp_path: Path
) -> None:
    good = make_file(tmp_path, suffix)
    content, whole = good.read_bytes(), read(good)
    path = tmp_path / f"cut{suffix}"
    for part in (0.05, 0.3, 0.62, 0.9, 0.99):
        path.write_bytes(content[: int(len(content) * part)].rstrip(b"\n"))
        try:
            recording = read(path)
        except MyodriveError as error:
            assert path.name in str(error)
            continue
        flagged = any("cut short" in w for w in recording.source.warnings)
        complete = all(s.equals(whole.signals[n]) for n, s in recording.signals.items())  # only padding was cut
        assert flagged or (complete and list(recording.signals) == list(whole.signals))


def bomb_npz(path: Path) -> None:
    header = b"{'descr': '<f8', 'fortran_order': False, 'shape': (4294967296,), }"
    head = b"\x93NUMPY\x01\x00" + (len(header) + 1).to_bytes(2, "little") + header + b"\n"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("emg.npy", head)


def zip_bomb(path: Path) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive, archive.open("emg.npy", "w") as stream:
        for _ in range(80):
            stream.write(bytes(2**20))


def hdf5_bomb(path: Path) -> None:
    with h5py.File(path, "w") as file:
        file.create_dataset("emg", shape=(2**30, 8), chunks=(2**16, 8), dtype="f4", compression="gzip")


def npz_pickle(path: Path) -> None:
    content = io.BytesIO()
    np.save(content, np.array([{"a": 1}], dtype=object), allow_pickle=True)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("emg.npy", content.getvalue())


@pytest.mark.parametrize(
    ("name", "make", "says"),
    [
        ("a.c3d", lambda p: p.write_text("time,TA\n0,1\n", encoding="utf-8"), "is not a C3D file"),
        ("a.mat", lambda p: p.write_text("time,TA\n0,1\n", encoding="utf-8"), "its content is text"),
        ("a.csv", lambda p: p.write_bytes(b""), "is empty"),
        ("a.csv", lambda p: p.write_text("time,TA,SOL\n0,1,2\n0.1,2\n", encoding="utf-8"), "line 3 has 2 values"),
        ("a.csv", lambda p: p.write_text("time,TA\n0,1\n0.1,two\n0.2,3\n", encoding="utf-8"), "line 3: 'two' is not a number"),
        ("a.csv", lambda p: p.write_text("time,TA\n0,1\n0,2\n", encoding="utf-8"), "time does not increase"),
        ("a.csv", lambda p: p.write_text("TA,SOL\n5,1\n3,2\n", encoding="utf-8"), "nor a sampling rate"),
        ("a.sto", lambda p: p.write_text("x\nnRows=3\nendheader\ntime\ta\n0\t1\n", encoding="utf-8"), "declares 3 rows"),
        ("a.sto", lambda p: p.write_text("Coordinates\nversion=1", encoding="utf-8"), "no line 'endheader'"),
        ("a.npz", bomb_npz, "cut short or damaged"),
        ("a.npz", zip_bomb, "would unpack to more than"),
        ("a.npz", npz_pickle, "pickle"),
        ("a.npz", lambda p: np.savez(p, TA=np.zeros(100), SOL=np.zeros(90), fs=1e3), "unequal lengths"),
        ("a.pkl", lambda p: p.write_bytes(pickle.dumps({"a": 1})), "pickle"),
        ("a.h5", hdf5_bomb, "would unpack to more than"),
        ("a.xyz", lambda p: p.write_bytes(bytes(range(256)) * 4), "not known here"),
    ],
)  # fmt: skip
def test_each_fault_has_its_own_sentence(name: str, make: Callable[[Path], object], says: str, tmp_path: Path) -> None:
    make(tmp_path / name)
    with pytest.raises(MyodriveError, match=says) as caught:
        read(tmp_path / name)
    assert str(caught.value).startswith(name)


def test_a_unit_that_emg_cannot_have_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("time,TA\n" + "".join(f"{i / 1000},{i % 3}\n" for i in range(100)), encoding="utf-8")
    assert read(path, units="uV")["emg"].attrs["units"] == "µV"
    with pytest.raises(MyodriveError, match="not 'kg'"):
        read(path, units="kg")


@pytest.mark.parametrize(
    ("script", "says"),
    [
        ("import os, signal; os.kill(os.getpid(), signal.SIGTERM)", "crashed on it|stopped on it"),
        ("while True: pass", "could not be read within 1 s"),
        ("raise RuntimeError('odd')", "RuntimeError: odd"),
        ("from myodrive.io.child import limit_memory; limit_memory(); bytearray(2**36)", "of memory"),
    ],
)
def test_a_reader_that_crashes_hangs_or_eats_the_memory_ends_in_one_sentence(
    script: str, says: str, tmp_path: Path
) -> None:
    (tmp_path / "script.py").write_text(script, encoding="utf-8")
    with pytest.raises(FileError, match=says) as caught:
        run_child(
            tmp_path / "script.py", [], where=tmp_path / "walk.c3d", time_limit_s=1.0 if "while" in script else 60
        )
    assert str(caught.value).startswith("walk.c3d: ")


def test_what_is_no_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FileError, match="there is no such file"):
        read(tmp_path / "none.c3d")
    with pytest.raises(FileError, match="is a folder"):
        read(tmp_path)
    with pytest.raises(FileError, match="no file that could be a recording"):
        study_files(tmp_path)
    (tmp_path / "study.toml").write_text("[[recording]]\nfile = 'a.c3d'\nsubjekt = 'x'\n", encoding="utf-8")
    with pytest.raises(OptionError, match="unknown key 'subjekt'"):
        study_files(tmp_path / "study.toml")


def test_a_recording_of_two_samples_or_of_nothing_but_missing_ones_opens(tmp_path: Path) -> None:
    (tmp_path / "two.csv").write_text("time,TA\n0,1\n0.001,-2\n", encoding="utf-8")
    assert read(tmp_path / "two.csv")["emg"].shape == (2, 1)
    np.savez(tmp_path / "missing.npz", emg=np.full((100, 2), np.nan), emg_names=["TA", "SOL"], rate_hz=1000.0)
    assert np.isnan(read(tmp_path / "missing.npz")["emg"].values).all()


def test_nothing_is_left_where_writing_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    old = make_file(tmp_path, ".npz")
    before = old.read_bytes()

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "savez_compressed", full)
    with pytest.raises(FileError, match="cannot be written"):
        write(read(old), old)
    assert old.read_bytes() == before and [p.name for p in tmp_path.iterdir()] == [old.name]
