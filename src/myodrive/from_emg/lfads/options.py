"""The options of LFADS: what each is in, and the reason for its default."""

from __future__ import annotations

import hashlib
from typing import Annotated, ClassVar, Literal

import numpy as np
from pydantic import Field

from myodrive.from_emg.channels import ChannelConfig

Positive = Annotated[float, Field(gt=0)]
Share = Annotated[float, Field(ge=0, lt=1)]
Scale = Annotated[float, Field(ge=0)]
Count = Annotated[int, Field(ge=1)]


class LFADSConfig(ChannelConfig):
    """Options of `LFADS`."""

    # What decides no step of the training: a run goes on from its checkpoint with other ones
    undecisive: ClassVar[set[str]] = {"minutes", "max_epochs", "patience", "n_samples", "interval_level"}

    # Before rectification, of raw EMG; an input that is rectified already has lost what both need
    whiten: bool = True
    unmix: bool = True

    # Windows
    # Published .2; docs/lfads.md says how it was chosen. "auto" takes the best of .2, .4, .8 and 1.6 s by the
    # likelihood of the same hidden samples after short trainings, with as many samples in a batch for each.
    window_s: Positive | Literal["auto"] = 1.6
    # Of the windows that estimates are merged from, cross-faded; published .05. Three quarters of shorter windows.
    overlap_s: Scale = 1.2
    bin_s: Positive = 0.02  # the network steps over means of this long; published .002

    # Sizes, in units; those published for EMG are in `model.Sizes`
    ic_encoder: Count = 64
    ci_encoder: Count = 64
    controller: Count = 64
    generator: Count = 64
    n_initial: Count = 30
    n_input: Count = 8  # published 3
    n_factor: Count = 10

    # Of the EMG given the factors: published "gamma"; "auto" chooses as with `window_s`
    density: Literal["gamma", "lognormal", "zero_inflated_gamma", "auto"] = "gamma"

    # What the network hears and shares
    causal: bool = False  # encoders that run forwards only; the default conditioning before them is zero-phase
    look_ahead_s: Annotated[float, Field(ge=0, le=0.5)] = 0.0  # that they hear beyond the moment they describe
    sessions: bool = True  # read-ins and read-outs of their own for recordings that differ in subject or session
    external: str | None = None  # name of a signal of the recordings that is known to drive the generator

    # Hyperparameters
    learning_rate: Positive = 5e-3  # at the start; it falls by half a cosine to a twentieth
    dropout: Share = 0.2
    hide_rate: Share = 0.4  # coordinated dropout, single samples
    block_rate: Share = 0.1  # coordinated dropout, blocks of all muscles
    block_s: Positive = 0.1  # length of a block
    shift_bins: Annotated[int, Field(ge=0)] = 0  # see `objective.shift`: a patent application exists
    kl_initial: Scale = 0.03  # 1 is the evidence bound
    kl_input: Scale = 0.03
    l2_generator: Scale = 1e-2
    l2_controller: Scale = 1e-2
    ramp_epochs: Annotated[int, Field(ge=0)] = 10

    # Training
    batch_size: Count = 32
    max_epochs: Count = 50
    patience: Count = 15  # epochs
    minutes: Positive | None = None  # of training at the most
    validation_share: Annotated[float, Field(gt=0, le=0.5)] = 0.2
    validation_gap_s: Scale = 0.2
    checkpoint: str | None = Field(None, exclude=True)  # a file that training saves itself to and resumes from

    # Estimates
    n_samples: Count = 50  # draws from the posterior, as published
    interval_level: Annotated[float, Field(gt=0, lt=1)] = 0.9
    seed: int = 0

    def fingerprint(self, data: np.ndarray) -> str:
        """Changes with the data and with every option that decides a step of the training."""
        options = self.model_dump_json(exclude=self.undecisive)
        return hashlib.sha256(options.encode() + np.ascontiguousarray(data).tobytes()).hexdigest()
