"""From the command line to files and sentences, as a newcomer meets them."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from scipy.signal import butter, sosfilt

from myodrive import cli, read, write
from myodrive.recording import Recording, make_signal, sampling_rate

RATE_HZ = 1000.0


def run(*arguments: str | Path, monkeypatch: pytest.MonkeyPatch) -> int:
    """Call the command line in this process; its exit code."""
    monkeypatch.setattr(sys, "argv", ["myodrive", *map(str, arguments)])
    with pytest.raises(SystemExit) as end:
        cli.main()
    return int(end.value.code or 0)


def bursts(
    seed: int = 0, n_time: int = 6000, labels: tuple[str, ...] = ("soleus_r", "tibialis anterior_r")
) -> Recording:
    """Noise with the spectrum of surface EMG that is louder for half of every second."""
    rng = np.random.default_rng(seed)
    loud = 1 + 9 * (np.arange(n_time) % RATE_HZ < RATE_HZ / 2)
    shape = butter(2, [40, 150], "bandpass", fs=RATE_HZ, output="sos")
    values = sosfilt(shape, rng.normal(size=(n_time, len(labels))), axis=0) * loud[:, None] * 1e-5
    emg = make_signal(values, ("time", "muscle"), {"muscle": labels}, units="V", rate_hz=RATE_HZ, stage="raw")
    return Recording({"emg": emg})


def test_estimate_writes_activation_report_and_the_run_that_made_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = write(bursts(), tmp_path / "walk.csv")
    out = tmp_path / "out"
    arguments = ("estimate", file, "--method", "low-pass", "--out", out, "--format", "sto", "--summary")
    assert run(*arguments, monkeypatch=monkeypatch) == 0
    assert {p.name for p in out.iterdir()} == {
        "walk.low-pass.nc", "walk.low-pass.sto", "report.html", "run.json", "scores.csv", "summary.csv",
    }  # fmt: skip
    activation = read(out / "walk.low-pass.sto")["activation"]
    phase = (activation.time.values % 1.0 < 0.5) & (activation.time.values > 0.1)
    assert activation.values[phase].mean() > 3 * activation.values[~phase].mean()
    assert json.loads((out / "run.json").read_text())["options"]["methods"] == ["low-pass"]


def test_a_run_can_be_repeated_from_its_file_to_the_same_numbers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = write(bursts(), tmp_path / "walk.csv")
    out, again = tmp_path / "out", tmp_path / "again"
    assert (
        run(
            "estimate",
            file,
            "--method",
            "low-pass",
            "--set",
            "low-pass.cutoff_hz=4",
            "--out",
            out,
            monkeypatch=monkeypatch,
        )
        == 0
    )
    assert run("repeat", out / "run.json", "--out", again, monkeypatch=monkeypatch) == 0
    assert (out / "scores.csv").read_bytes() == (again / "scores.csv").read_bytes()


def test_one_bad_file_does_not_stop_the_others_and_the_exit_code_tells(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "in").mkdir()
    write(bursts(1), tmp_path / "in" / "good.01.csv")
    (tmp_path / "in" / "bad.c3d").write_text("this is not a C3D file\n")
    code = run("estimate", tmp_path / "in", "-m", "low-pass", "--out", tmp_path / "out", monkeypatch=monkeypatch)
    said = capsys.readouterr()
    assert code == 1
    assert "good.01.csv: low-pass" in said.out and "bad.c3d" in said.err
    assert (tmp_path / "out" / "good.01.low-pass.nc").exists()


def test_results_never_replace_a_folder_that_holds_something_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    file = write(bursts(), tmp_path / "walk.csv")
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter1.tex").write_text("years of work")
    assert run("estimate", file, "-m", "low-pass", "--out", tmp_path / "thesis", monkeypatch=monkeypatch) == 2
    assert [p.name for p in (tmp_path / "thesis").iterdir()] == ["chapter1.tex"]
    assert "Choose another folder" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("estimate", "missing.csv"), ("missing.csv", "no such file")),
        (("estimate", "text.c3d"), ("text.c3d",)),
        (("estimate", "two.csv"), ("two.csv", "2 samples")),
        (("estimate", "nan.csv"), ("nan.csv",)),
        (("estimate", "walk.csv", "--mvc", "nan.csv"), ("nan.csv", "missing")),
        (("estimate", "walk.csv", "--mvc", "walk.csv", "--relative-to", "q95"), ("--relative-to", "--mvc")),
        (("estimate", "forces.csv"), ("forces.csv", "--emg")),
        (("estimate", "ragged.csv"), ("ragged.csv",)),
        (("estimate", "walk.csv", "--method", "lowpas"), ("lowpas", "low-pass")),
        (("estimate", "walk.csv", "--set", "low-pass.cutoff=4"), ("cutoff",)),
        (("estimate", "walk.csv", "--set", "low-pass.cutoff_hz=-4"), ("cutoff_hz", "greater than 0")),
        (("estimate", "walk.csv", "--format", "docx"), ("docx", "sto")),
        (("estimate", "walk.csv", "--already", "smooth"), ("smooth", "envelope")),
        (("estimate", "walk.csv", "--muscle", "Ch1"), ("LABEL=MUSCLE",)),
        (("convert", "walk.csv", "walk.docx"), ("docx",)),
        (("info", "missing.csv"), ("missing.csv",)),
        (("repeat", "walk.csv"), ("walk.csv", "run.json")),
    ],
)  # fmt: skip
def test_bad_input_ends_in_one_sentence_and_leaves_nothing(
    arguments: tuple[str, ...], words: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    write(bursts(), tmp_path / "walk.csv")
    Path("text.c3d").write_text("time,soleus\n0,1\n")
    Path("two.csv").write_text("time,soleus_r\n0,0.1\n0.001,0.2\n")
    Path("nan.csv").write_text("time,soleus_r\n" + "".join(f"{i / 1000},nan\n" for i in range(500)))
    Path("forces.csv").write_text("time,Fx,Fy\n" + "".join(f"{i / 1000},{i},{i}\n" for i in range(500)))
    Path("ragged.csv").write_text("time,soleus_r\n0,0.1\n0.001,0.2,0.3,0.4\n0.002\n")
    before = sorted(p.name for p in tmp_path.iterdir())
    code = run(*arguments, monkeypatch=monkeypatch)
    said = capsys.readouterr().err
    assert code == 2, said
    assert said.startswith("myodrive: ") and "Traceback" not in said
    assert all(word in said for word in words), said
    assert sorted(p.name for p in tmp_path.iterdir()) == before


def test_help_and_version_import_nothing_heavy() -> None:
    probe = (
        "import sys; sys.argv = ['myodrive', '--help']\n"
        "from myodrive.cli import main\n"
        "try: main()\nexcept SystemExit: pass\n"
        "heavy = {'numpy', 'pandas', 'xarray', 'jax', 'scipy', 'sklearn', 'matplotlib', 'pydantic'} & set(sys.modules)\n"
        "print('HEAVY', heavy, file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=True)
    assert "estimate" in done.stdout and "HEAVY set()" in done.stderr


def test_every_name_of_the_table_of_contents_can_be_imported() -> None:
    import myodrive

    assert [name for name in myodrive.__all__ if getattr(myodrive, name, None) is None] == []


def test_times_in_milliseconds_are_read_where_the_column_says_so_and_refused_where_it_does_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = write(bursts(), tmp_path / "walk.csv").read_text().splitlines()
    in_ms = [f"{1000 * float(time):g},{rest}" for time, rest in (row.split(",", 1) for row in rows[1:])]
    labels = rows[0].split(",", 1)[1]
    (tmp_path / "said.csv").write_text("\n".join([f"time_ms,{labels}", *in_ms]))
    (tmp_path / "unsaid.csv").write_text("\n".join([f"time,{labels}", *in_ms]))
    assert sampling_rate(read(tmp_path / "said.csv")["emg"]) == pytest.approx(RATE_HZ)
    assert run("estimate", tmp_path / "unsaid.csv", "-m", "low-pass", monkeypatch=monkeypatch) == 2
    assert "unsaid.csv" in (said := capsys.readouterr().err) and "--rate-hz" in said


def test_nothing_is_computed_for_results_that_cannot_be_written_and_no_estimate_is_no_success(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    file = write(bursts(), tmp_path / "walk.csv")
    assert run("estimate", file, "-m", "low-pass", "-o", file / "results", monkeypatch=monkeypatch) == 2
    assert "walk.csv" in (said := capsys.readouterr().err) and "--out" in said
    assert run("estimate", file, "-m", "low-pass", "--relative-to", "mvc", monkeypatch=monkeypatch) == 2
    out = tmp_path / "out"
    assert run("estimate", file, "-m", "low-pass", "--notch", "900", "-o", out, monkeypatch=monkeypatch) == 1
    assert "no method gave an estimate" in capsys.readouterr().err
