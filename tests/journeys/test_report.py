"""The report: one file that a colleague can open anywhere, with everything in it."""

from __future__ import annotations

import base64
import dataclasses
import html.parser
import json
import re
import shutil
import subprocess
import zlib
from importlib.resources import files
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from myodrive.activation import Activation
from myodrive.conditioning.options import EmgConditioning
from myodrive.conditioning.quality import Finding
from myodrive.evaluation.result import MethodText, RecordingResult, StudyResult
from myodrive.evaluation.summary import summarise, summarise_bursts
from myodrive.recording import Recording, Source, make_events, make_signal
from myodrive.reporting import write_report
from myodrive.reporting.words import conditioning_text, linked, number

NASTY = "<script>alert('x')</script>"
MUSCLES = ["R TA", "R Sol", NASTY]
VOID = {"meta", "link", "input", "br", "hr", "img"}


class Reader(html.parser.HTMLParser):
    """Checks that what is opened is closed, and collects text, addresses and identifiers."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.addresses: list[str] = []
        self.ids: list[str] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in VOID:
            self.open.append(tag)
        for name, value in attrs:
            if name in ("src", "href", "action", "srcset", "data"):
                self.addresses.append(value or "")
            if name == "id":
                self.ids.append(value or "")

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        pass

    def handle_endtag(self, tag: str) -> None:
        assert self.open and self.open[-1] == tag, f"</{tag}> closes {self.open[-3:]}"
        self.open.pop()

    def handle_data(self, data: str) -> None:
        self.text += data


def recording(seconds: float = 4.0, rate: float = 1000.0) -> Recording:
    random = np.random.default_rng(0)
    time = np.arange(int(seconds * rate)) / rate
    activity = np.stack([np.sin(np.pi * time) ** 2, np.cos(np.pi * time) ** 2, 0.01 + 0 * time], axis=1)
    emg = make_signal(
        1e-4 * activity * random.normal(size=activity.shape),
        ("time", "muscle"),
        {"muscle": MUSCLES},
        units="V",
        rate_hz=rate,
        stage="raw",
    ).assign_coords(name=("muscle", ["tibialis anterior", "soleus", ""]), side=("muscle", ["right", "right", ""]))
    events = make_events([(float(i), "Foot Strike", "right") for i in range(5)] + [(0.5, NASTY, "left")])
    return Recording(
        {"emg": emg}, events, subject="S1", source=Source(f"walk {NASTY}.c3d", "ab" * 32, "c3d", ("odd & old",))
    )


def result(one: Recording) -> RecordingResult:
    emg = one["emg"]
    values = np.abs(emg.values[::10]) / 1e-4
    values[:, 2] = np.nan
    coords = {"time": emg.time.values[::10], **{k: v for k, v in emg.coords.items() if v.dims == ("muscle",)}}
    mean = xr.DataArray(values, dims=("time", "muscle"), coords=coords)
    activation = Activation(
        mean,
        method="bayes",
        relative_to="q95",
        lower=0.5 * mean,
        upper=2 * mean,
        interval_level=0.9,
        configuration={"conditioning": EmgConditioning().model_dump(mode="json")},
    )
    findings = (
        Finding(NASTY, "unplugged", True, "Nothing but noise of 1 µV."),
        Finding("R Sol", "artefact", True, "An artefact of 2 mV.", 1.0, 1.5),
        Finding("", "unit", False, "The unit may be mV."),
    )
    scores = pd.DataFrame(
        [("truth", m, muscle, "R²", v) for m, v in (("bayes", 0.9), ("event mean", 0.8)) for muscle in MUSCLES[:2]],
        columns=["task", "method", "muscle", "metric", "value"],
    )
    summary = pd.concat([summarise_bursts(one), summarise(activation, one)], ignore_index=True)
    return RecordingResult(one, findings, {"bayes": activation}, {"lfads": f"too short: {NASTY}"}, scores, summary)


def study(*results: RecordingResult) -> StudyResult:
    curves = {"S1": {"training": [2.0, 1.0], "validation": [2.1, 1.2]}}
    text = MethodText("A jump-diffusion filter.", ("Sanger TD (2007). https://doi.org/10.1152/jn.00936.2006",), curves)
    return StudyResult(f"Study {NASTY}", list(results), {"bayes": text}, {"broken.c3d": "is truncated."}, {"seed": 0})


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = write_report(study(result(recording())), tmp_path_factory.mktemp("report") / "report.html")
    return path.read_text(encoding="utf-8")


def read(page: str) -> Reader:
    reader = Reader()
    reader.feed(page)
    reader.close()
    return reader


def test_every_element_is_closed_and_no_identifier_occurs_twice(page: str) -> None:
    reader = read(page)
    assert reader.open == []
    assert len(set(reader.ids)) == len(reader.ids)


def test_nothing_is_fetched_from_elsewhere(page: str) -> None:
    outside = [a for a in read(page).addresses if not a.startswith(("#", "data:", "https://doi.org/"))]
    assert outside == []
    assert not re.search(r"url\(|@import|\bimport\s*\(|fetch\(|XMLHttpRequest|<img|<iframe", page)


def test_labels_of_the_user_are_text_and_never_markup(page: str) -> None:
    assert "<script>alert" not in page
    assert page.count("<script") == 3  # header and data of the one recording, and our own
    assert NASTY in read(page).text


def test_it_names_every_muscle_finding_refusal_and_citation(page: str) -> None:
    text = read(page).text
    for wanted in (*MUSCLES, "Nothing but noise of 1 µV.", "An artefact of 2 mV.", "The unit may be mV.", "Odd & old.",
                   "broken.c3d", "is truncated.", "too short", "jump-diffusion", "high-pass filter at 65 Hz",
                   "doi:10.1152/jn.00936.2006", "Teager–Kaiser", "Co-contraction", "event mean"):  # fmt: skip
        assert wanted in text, wanted
    assert "1 good, 1 worth a look, 1 left out" in text


def test_the_traces_in_the_page_are_the_signals(page: str) -> None:
    header = json.loads(re.search(r'id="r1-header">(.*?)</script>', page).group(1))  # type: ignore[union-attr]
    packed = zlib.decompress(base64.b64decode(re.search(r'id="r1-data">(.*?)</script>', page).group(1)))  # type: ignore[union-attr]
    emg = recording()["emg"]
    assert [m["label"] for m in header["muscles"]] == MUSCLES
    first = header["arrays"][0]
    coded = np.frombuffer(packed, np.int8, first["n"]).astype(float)
    assert coded * np.abs(coded) / 127**2 * first["peak"] == pytest.approx(
        1e6 * emg.values[:, 0], abs=0.016 * first["peak"]
    )
    at = sum(a["n"] * (1 if a["kind"] == "raw" else 2) for a in header["arrays"][:3])
    mean = header["arrays"][3]
    low, high = np.frombuffer(packed, np.uint8, 2 * mean["n"], at).reshape(2, -1).astype(np.int64)
    values = np.cumsum(low + 256 * high).astype("<u2").view("<i2") / 32767 * mean["peak"]
    assert values == pytest.approx(np.abs(emg.values[::10, 0]) / 1e-4, abs=1e-4 * mean["peak"])
    assert [0, 4.0] not in header["masked"] and [1, 1.0, 1.5, "artefact"] in header["masked"]


def test_the_grey_of_what_is_left_out_is_explained_where_there_is_any(page: str, tmp_path: Path) -> None:
    whole = dataclasses.replace(result(recording()), findings=(Finding("", "unit", False, "The unit may be mV."),))
    clean = write_report(study(whole), tmp_path / "report.html").read_text(encoding="utf-8")
    legend = "left out of the estimates"
    assert legend in read(page).text and legend not in read(clean).text


def test_a_recording_without_any_estimate_is_still_reported(tmp_path: Path) -> None:
    one = recording(1.0)
    silent = one.with_signal("emg", one["emg"].copy(data=np.full(one["emg"].shape, np.nan)))
    findings = tuple(Finding(m, "unplugged", True, "No sample.") for m in MUSCLES)
    bare = RecordingResult(silent, findings, {}, {"bayes": "every channel is masked."})
    text = read(write_report(study(bare), tmp_path / "report.html").read_text(encoding="utf-8")).text
    assert "every channel is masked." in text and "3 left out" in text


def test_a_recording_without_emg_is_still_reported(tmp_path: Path) -> None:
    force = make_signal(np.zeros((100, 1)), ("time", "channel"), {"channel": ["Fz"]}, units="N", rate_hz=100)
    bare = RecordingResult(Recording({"forces": force}), (), {}, {"bayes": "there is no EMG."})
    text = read(write_report(study(bare), tmp_path / "report.html").read_text(encoding="utf-8")).text
    assert "there is no EMG." in text and "0 EMG channels" in text


def test_a_truth_on_its_own_scale_is_drawn_beside_estimates_of_which_one_muscle_is_masked(tmp_path: Path) -> None:
    one = result(recording())
    known = one.estimates["bayes"].activation
    truth = Activation(3 * known.fillna(1.0), method="truth", relative_to="unit")
    path = write_report(study(dataclasses.replace(one, truth=truth)), tmp_path / "report.html")  # a warning is an error
    assert "truth" in path.read_text(encoding="utf-8")


def test_a_long_recording_stays_small_and_says_that_it_was_simplified(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    muscles = [f"EMG{i}" for i in range(12)]
    emg = make_signal(
        random.normal(size=(200_000, 12)).astype(np.float32), ("time", "muscle"), {"muscle": muscles},
        units="mV", rate_hz=2000, stage="raw",
    )  # fmt: skip
    path = write_report(
        StudyResult("long", [RecordingResult(Recording({"emg": emg}), (), {})]), tmp_path / "report.html"
    )
    assert path.stat().st_size < 3e6
    assert "least and the largest of every" in path.read_text(encoding="utf-8")


def test_the_script_of_the_page_is_valid(tmp_path: Path) -> None:
    node = shutil.which("node")
    if node is None:
        pytest.skip("node is not installed, so the script's syntax cannot be checked here")
    script = tmp_path / "traces.js"
    script.write_text(
        files("myodrive.reporting").joinpath("templates", "traces.js").read_text("utf-8"), encoding="utf-8"
    )
    assert subprocess.run([node, "--check", str(script)], capture_output=True, check=False).returncode == 0


def test_numbers_have_sensible_digits() -> None:
    assert [number(v) for v in (0.123456, -12.3456, 123456.0, 0.0, float("nan"), 1e-7)] == [
        "0.123", "−12.3", "123456", "0", "–", "1.00e−07",
    ]  # fmt: skip


def test_the_texts_of_several_fits_become_one_with_ranges() -> None:
    told = "Order 4, cut off at {} Hz (Winter 2009), {} synergies."
    fits = [MethodText(told.format(*v), ("Winter 2009",)) for v in ((4, 3), (2.5, 3), (10, 3))]
    assert MethodText.of_fits(fits) == MethodText(told.format("2.5 to 10", 3), ("Winter 2009",))
    assert MethodText.of_fits([MethodText("One."), MethodText("Other."), MethodText("One.")]).text == "One. Other."


def test_the_methods_name_the_conditioning_that_was_really_used() -> None:
    emg = recording(1.0)["emg"]
    options = EmgConditioning(
        notch_hz=((50.0, 2.0),), highpass_hz=20.0, lowpass_hz=450.0, ecg="template", resample_hz=None
    )
    activation = Activation(
        np.abs(emg), method="x", relative_to="q95", configuration={"conditioning": options.model_dump(mode="json")}
    )
    text = conditioning_text(activation, "raw")
    for wanted in (
        "notch filter at 50 Hz",
        "high-pass filter at 20 Hz",
        "low-pass filter at 450 Hz",
        "median heartbeat",
    ):
        assert wanted in text
    assert "resampling" not in text
    assert "filter at" not in conditioning_text(activation, "envelope")
    without_heart = ["ECG: no heartbeats were found, so none were subtracted."]
    unheard = Activation(
        np.abs(emg), method="x", relative_to="mvc", configuration=activation.configuration, notes=without_heart
    )
    assert "median heartbeat" not in (text := conditioning_text(unheard, "raw")) and "window of 0.5 s" in text


def test_a_citation_links_its_doi_and_escapes_the_rest() -> None:
    link = '<a href="https://doi.org/10.1088/1741-2552/ac6369">doi:10.1088/1741-2552/ac6369</a>'
    assert linked("A & B. doi:10.1088/1741-2552/ac6369.") == f"A &amp; B. {link}."
    assert linked("<b> https://doi.org/10.1088/1741-2552/ac6369") == f"&lt;b&gt; {link}"
