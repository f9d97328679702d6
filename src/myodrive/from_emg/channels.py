"""What raw EMG offers and rectified EMG has lost: freeing it of crosstalk, and whitening it, before it is rectified.

Both need the EMG with its sign at its own rate. An estimator of rectified EMG that is a `ChannelEstimator` has them as
options; given EMG that is rectified already it takes it as it is.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import xarray as xr
from pydantic import Field

from myodrive.errors import SignalError
from myodrive.estimator import Estimator, EstimatorConfig
from myodrive.from_emg import crosstalk, whitening
from myodrive.trials import Trials, as_trials


class ChannelConfig(EstimatorConfig):
    """Options of a `ChannelEstimator`; of no effect on EMG that comes rectified."""

    whiten: bool = False  # samples that tell something new: see `WhitenedEnvelope`
    unmix: bool = False  # take off what one muscle's electrodes see of another: see `crosstalk`
    order: int = Field(default=6, ge=1, le=50)  # of the whitening's autoregressive model


class ChannelEstimator(Estimator):
    """Base of the estimators that learn from rectified EMG and may do more to raw EMG before they rectify it.

    Learned: `reads_raw_`, and then `rate_`, `unmixing_`, and with `whiten` also `autocovariance_`, `noise_`, `gain_`.
    """

    config: ChannelConfig
    reads_raw_: bool

    @property
    def _whitens(self) -> bool:
        return self.config.whiten

    def _prepared(self, data: Trials, mvc: Trials | Sequence[Trials] | None) -> list[xr.DataArray]:
        stages = {trial.attrs.get("stage", "raw") for trial in as_trials(data)}
        self.reads_raw_ = (self._whitens or self.config.unmix) and stages <= {"raw", "filtered"}
        trials = super()._prepared(data, mvc)
        if self.reads_raw_:
            self._learn_channels(trials)
        return [self._rectified(trial) for trial in trials]

    def _normalised(self, filtered: xr.DataArray, rectified: xr.DataArray) -> xr.DataArray:
        return self.normalisation_.apply(filtered if self.reads_raw_ else rectified)

    def _learn_channels(self, trials: list[xr.DataArray]) -> None:
        """What must be known of the channels before they are rectified: their crosstalk and their spectra."""
        self.rate_ = whitening.common_rate(trials)
        n_muscle = trials[0].sizes["muscle"]
        self.unmixing_ = crosstalk.fit_unmixing(trials) if self.config.unmix else np.eye(n_muscle)
        unmixed = [crosstalk.unmix(trial, self.unmixing_) for trial in trials]
        if self._whitens:
            self.autocovariance_, self.noise_ = whitening.fit_spectra(unmixed, self.config.order)
            self.gain_ = whitening.fit_gain(unmixed, self.autocovariance_, self.noise_)

    def _rectified(self, trial: xr.DataArray) -> xr.DataArray:
        """Free of crosstalk, whitened and rectified as the options ask for; or as it came, where it came rectified."""
        if not self.reads_raw_:
            return trial
        if trial.attrs["stage"] != "filtered":
            raise SignalError(
                f"{type(self).__name__} learned from raw EMG, and this input is {trial.attrs['stage']} already.",
                remedy="Give it raw EMG, or fit with whiten=False, unmix=False.",
            )
        whitening.check_rate(trial, self.rate_)
        unmixed = crosstalk.unmix(trial, self.unmixing_)
        if not self._whitens:
            return unmixed.copy(data=np.abs(unmixed.values))
        return unmixed.copy(data=self.gain_ * whitening.whiten(unmixed, self.autocovariance_, self.noise_))

    def _words_for_channels(self) -> str:
        """How the EMG was made ready, for the methods section; "" where it came rectified."""
        steps = [
            ("freed of crosstalk by joint diagonalisation (after Kilner et al. 2002)", self.config.unmix),
            (f"whitened adaptively (order {self.config.order}; after Clancy & Farry 2000)", self._whitens),
        ]
        done = [words for words, wanted in steps if wanted and self.reads_raw_]
        return f"EMG was {' and '.join(done)} before rectification. " if done else ""

    def _restore(self, arrays: dict[str, np.ndarray], values: dict[str, Any]) -> None:
        super()._restore(
            arrays, {"reads_raw_": False, **values}
        )  # what was saved before there was the choice read none
