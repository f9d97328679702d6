"""How often the quality check is right: hits, misses and false alarms over every channel of the real recordings.

    python benchmarks/quality_table.py ../shared/data [--json FILE] [--list]

What is true of each channel is written by hand below. "readme" labels are what the README of the data says; "look" labels are
what traces and spectra show where the README is silent, or where the two differ. The thresholds of the check were chosen with
these signals in view, and KNEE_JOLTS was picked among the places that a first version of the check pointed at, so that its
misses are not counted fairly: for an independent count see quality_faults.py.
"""

from __future__ import annotations

import argparse
import json
import platform
import sys
from collections import defaultdict
from pathlib import Path

import numpy as np
from quality_recordings import load_all

from myodrive.conditioning.quality import Finding, check_emg

LEGS = ("Rect", "Hams", "Gast", "Tib Ant")
LEFT, RIGHT = tuple(f"L {m}" for m in LEGS), tuple(f"R {m}" for m in LEGS)

# gait-biomechzoo: channels without usable EMG, which the check has to mask. The README names sides per subject.
DEAD_README: dict[str, tuple[str, ...]] = {
    "HC002D": LEFT, "HC031A": LEFT, "HC032A": RIGHT, "HC036A": RIGHT, "HC040A": LEFT + RIGHT, "HC055A": LEFT + RIGHT,
    "HC050A": (*LEFT, "R Hams"),
}  # fmt: skip
DEAD_LOOK: dict[str, tuple[str, ...]] = {
    "HC002D02": ("R Gast",),  # contact comes and goes
    "HC030A01": RIGHT,  # drift and rail, growing mains, lost contact, pulses at 50 Hz
    "HC030A05": RIGHT,  # lost contact, and three channels of steady noise of .15 V
    "HC030A22": ("R Rect", "R Hams", "R Gast"),  # mains at the rail
    "HC031A01": RIGHT,  # the whole static trial has .1 to .2 mV of noise, half of it mains
    "HC039A01": LEFT + RIGHT,  # the same
    "HC039A17": RIGHT,  # pulses at 50 Hz up to the rail, and lost contact; the README calls it "large amplitude"
    "HC039A31": RIGHT,
}
# Electrodes on a muscle at rest in standing: to be kept.
SILENT_LOOK: dict[str, tuple[str, ...]] = {
    "HC002D02": ("R Rect", "R Tib Ant"), "HC030A01": LEFT, "HC030A22": ("R Tib Ant",),
    "HC032A01": ("L Rect", "L Gast", "L Tib Ant"), "HC036A01": ("L Rect", "L Tib Ant"), "HC050A01": ("R Gast", "R Tib Ant"),
}  # fmt: skip
DRIFT_LOOK = {("HC030A01", "R Rect"), ("HC030A01", "R Gast"), ("HC050A11", "L Rect"), ("HC036A10", "R Gast"),
              ("HC036A10", "R Tib Ant"), ("HC050A11", "L Gast"), ("HC055A01", "R Gast")}  # fmt: skip
ONE_VOLT = {("HC031A06", "L Rect"), ("HC031A06", "L Hams"), ("HC036A10", "R Gast"), ("HC050A01", "L Gast"),
            ("HC050A11", "L Gast"), ("HC050A33", "L Gast"), ("HC055A01", "R Gast")}  # fmt: skip
ENVELOPE_ARTEFACTS = {("abd", "trapezius_medial"), ("mvt_random", "trapezius_medial"),  # readme
                      ("cycl", "trapezius_medial"), ("flex", "trapezius_medial")}  # look  # fmt: skip
KNEE_MAINS = {(f"{n}N{m}", muscle) for n in (1, 2) for m, muscles in (("sen", ("RF", "BF", "VM", "ST")), ("pie", ("VM",)))
              for muscle in muscles}  # look; 1N and 2N are the same recording here (readme)  # fmt: skip
KNEE_JOLTS = {("3Apie", "RF"), ("1Apie", "VM"), ("9Nsen", "ST"), ("9Nsen", "BF"), ("5Nsen", "BF"), ("7Nsen", "ST"),
              ("2Apie", "ST"), ("8Amar", "RF"), ("2Asen", "RF"), ("7Nmar", "ST"), ("3Nmar", "VM")}  # look  # fmt: skip
COPIES = {"glmax2r", "glmax3r", "glmed2r", "glmed3r", "semitenr"}  # readme
SILENT_NINAPRO = {("S9", "electrode 3")}  # readme: "1-2 silent electrodes"; which one by looking


class Tally:
    """Hits, misses and false alarms of one question over the channels it can be asked of."""

    def __init__(self) -> None:
        self.rows: dict[tuple[str, str, str], list[tuple[str, bool, bool]]] = defaultdict(list)

    def add(self, where: str, question: str, labels: str, channel: str, truth: bool, found: bool) -> None:
        self.rows[where, question, labels].append((channel, bool(truth), bool(found)))

    def table(self) -> list[dict[str, object]]:
        rows = []
        for (where, question, labels), answers in self.rows.items():
            missed = [c for c, truth, found in answers if truth and not found]
            wrong = [c for c, truth, found in answers if found and not truth]
            positive = sum(truth for _, truth, _ in answers)
            counts = {"channels": len(answers), "faulty": positive, "hits": positive - len(missed)}
            rows.append(
                {"set": where, "question": question, "labels": labels, **counts, "missed": missed, "false": wrong}
            )
        return rows


def ask(tally: Tally, where: str, file: str, emg: object, findings: tuple[Finding, ...]) -> None:
    """Compare the findings of one recording with what is true of its channels."""
    for i, muscle in enumerate(str(m) for m in emg.muscle.values):  # type: ignore[attr-defined]
        mine = [f for f in findings if f.muscle == muscle]
        kinds = {f.kind for f in mine}
        whole = any(f.masked and np.isnan(f.start_s) for f in mine)
        cut = any(f.masked and not np.isnan(f.start_s) for f in mine)
        name = f"{file} {muscle}"
        key = (file, muscle)
        if where == "gait-biomechzoo":
            dead_readme = muscle in DEAD_README.get(file[:6], ())
            dead = dead_readme or muscle in DEAD_LOOK.get(file, ())
            if dead_readme or not dead:
                tally.add(where, "whole channel masked: no usable EMG", "readme", name, dead, whole)
            else:
                tally.add(where, "whole channel masked: no usable EMG", "look", name, dead, whole)
            if not dead:
                silent = muscle in SILENT_LOOK.get(file, ())
                tally.add(where, "silent: reported, kept", "look", name, silent, "silent" in kinds)
            tally.add(where, "drift", "look", name, key in DRIFT_LOOK, "drift" in kinds)
            if key in ONE_VOLT:
                tally.add(where, "1 V artefact: masked", "readme, look", name, True, whole)
        elif where == "arm-shoulder-mhe":
            if file == "abd_raw":
                tally.add(where, "raw: stretch masked", "look", name, muscle == "deltoid_posterior", cut or whole)
            else:
                tally.add(
                    where, "envelope: stretch masked", "readme, look", name, key in ENVELOPE_ARTEFACTS, cut or whole
                )
        elif where == "emg-physical-actions":
            at_rail = np.mean(np.abs(emg.values[:, i]) >= 4000)  # type: ignore[attr-defined]  # the readme gives the rail
            tally.add(
                where, "saturated (0.1 % or more at the rail)", "readme", name, at_rail >= 1e-3, "saturated" in kinds
            )
            tally.add(where, "whole channel masked: 5 % or more at the rail", "readme", name, at_rail >= 0.05, whole)
            arm = muscle.endswith(("Bic", "Tri"))
            if file.startswith("sub02") or arm:
                tally.add(where, "unfiltered (sub02; not arms of sub01, sub03)", "readme", name,
                          file.startswith("sub02"), "unfiltered" in kinds)  # fmt: skip
        elif where == "leg-uci-knee":
            tally.add(where, "whole channel masked (none is dead)", "look", name, False, whole)
            tally.add(where, "mains", "look", name, key in KNEE_MAINS, "mains" in kinds)
            tally.add(where, "stretch masked: jolts and spikes", "look", name, key in KNEE_JOLTS, cut)
        elif where == "arm-lifting-c3d":
            tally.add(where, "whole channel masked: unused", "readme", name, muscle.startswith("Sensor"), whole)
            tally.add(where, "stretch masked", "look", name, False, cut)
        elif where == "gait-rajagopal2016":
            tally.add(where, "duplicate", "readme", name, muscle in COPIES, "duplicate" in kinds)
            tally.add(where, "anything masked", "readme", name, False, whole or cut)
        elif where == "hand-ninapro-db1":
            tally.add(where, "silent", "readme, look", name, key in SILENT_NINAPRO, "silent" in kinds)
            tally.add(where, "anything masked", "readme", name, False, whole or cut)
        else:
            tally.add(where, "anything masked", "readme", name, False, whole or cut)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path, help="folder of the real recordings")
    parser.add_argument("--json", type=Path, help="write the rows, with the names of what was missed, to this file")
    parser.add_argument("--list", action="store_true", help="name the channels that were missed or wrongly found")
    options = parser.parse_args()
    tally = Tally()
    for where, file, emg in load_all(options.data):
        ask(tally, where, file, emg, check_emg(emg))
    rows = tally.table()
    print("| set | question | labels | channels | faulty | hits | misses | false alarms |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- |")
    for row in rows:
        misses, wrong = len(row["missed"]), len(row["false"])  # type: ignore[arg-type]
        cells = [row["set"], row["question"], row["labels"], row["channels"], row["faulty"], row["hits"], misses, wrong]
        print("| " + " | ".join(map(str, cells)) + " |")
    if options.list:
        for row in rows:
            for kind in ("missed", "false"):
                if row[kind]:
                    print(f"{row['set']}, {row['question']}, {kind}: {', '.join(row[kind])}")  # type: ignore[arg-type]
    if options.json:
        machine = {"machine": platform.platform(), "python": platform.python_version(), "numpy": np.__version__}
        options.json.write_text(json.dumps({**machine, "rows": rows}, indent=1), encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
