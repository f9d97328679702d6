"""What is gained before rectification: filters and synergies that know the truth, on three inputs.

    python benchmarks/lfads_inputs.py --seed 1001

For each scenario the best R² over cut-offs of a low-pass and of four synergies (both chosen against the truth), on rectified
EMG, on whitened EMG, and on EMG that was freed of crosstalk and whitened, which is what LFADS learns from. 60 s, eight
muscles, 20 dB; development seeds, from 1000 up.
"""

from __future__ import annotations

import argparse

import numpy as np
import xarray as xr

from myodrive.activation import Activation
from myodrive.conditioning.emg import filter_emg, rectify_emg
from myodrive.conditioning.normalisation import Normalisation
from myodrive.conditioning.options import EmgConditioning
from myodrive.evaluation.truth_bench import N_LATENTS, Case
from myodrive.evaluation.truth_scoring import score_against_truth
from myodrive.from_emg import whitening
from myodrive.from_emg.crosstalk import fit_unmixing, unmix
from myodrive.from_emg.lowpass import smooth
from myodrive.from_emg.synergies import factorise
from myodrive.recording import Recording
from myodrive.truth import SCENARIOS

CUTOFFS_HZ = (2.0, 3.0, 4.0, 6.0, 10.0, 15.0)


def inputs(recording: Recording) -> dict[str, xr.DataArray]:
    """Rectified at the recording's own rate."""
    options = EmgConditioning()
    filtered = filter_emg(recording["emg"], options)
    scaled = Normalisation.fit([rectify_emg(filtered, options)], options).apply(filtered)
    unmixed = unmix(scaled, fit_unmixing([scaled]))
    return {
        "rectified": scaled.copy(data=np.abs(scaled.values)),
        "whitened": whitened(scaled),
        "unmixed, whitened": whitened(unmixed),
    }


def whitened(emg: xr.DataArray) -> xr.DataArray:
    spectra = whitening.fit_spectra([emg], 6)
    return emg.copy(data=whitening.whiten(emg, *spectra))


def best(rectified: xr.DataArray, recording: Recording) -> tuple[float, float]:
    """R² of the best low-pass and of the best synergies."""
    found = []
    for cutoff in CUTOFFS_HZ:
        envelope = np.maximum(smooth(rectified, cutoff), 0.0)[::10]
        amounts, patterns = factorise(envelope, N_LATENTS)
        pair = (
            Activation(rectified[::10].copy(data=v), method="floor", relative_to="q95")
            for v in (envelope, amounts @ patterns.T)
        )
        found.append([score_against_truth(estimate, recording).r2 for estimate in pair])
    low, synergies = np.max(found, axis=0)
    return float(low), float(synergies)


def main() -> None:
    parser = argparse.ArgumentParser(description="What is gained before rectification")
    parser.add_argument("--seed", type=int, default=1001)
    parser.add_argument("--scenarios", nargs="+", choices=tuple(SCENARIOS), default=list(SCENARIOS))
    arguments = parser.parse_args()
    if arguments.seed < 1000:
        parser.error("seeds below 1000 belong to the bench")
    print(f"{'':12s}{'':20s}{'low-pass':>10s}{'synergies':>11s}")
    for scenario in arguments.scenarios:
        recording = Case(scenario, arguments.seed, 20.0, 8, 60.0).simulate()
        for name, rectified in inputs(recording).items():
            low, synergies = best(rectified, recording)
            print(f"{scenario:12s}{name:20s}{low:10.4f}{synergies:11.4f}", flush=True)


if __name__ == "__main__":
    main()
