"""Activation: the one result in which all three routes end."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from myodrive.errors import SignalError
from myodrive.recording import sampling_rate

RELATIVE_TO = ("mvc", "task_maximum", "q95", "unit")
"""What an activation of 1 means: a maximum contraction, the task's own maximum, the 95th percentile, or nothing known."""


class Activation:
    """Activity of each muscle over time, with its interval and where it came from.

    A thin, checked wrapper around one `xarray.Dataset` (`dataset`) with the variables ``activation``, ``lower``,
    ``upper`` and ``valid`` over (time, muscle) or (trial, time, muscle).

    Parameters
    ----------
    activation : DataArray (time, muscle) or (trial, time, muscle)
        Dimensionless.
    method : str
        The estimator's name, as in ``--method``.
    relative_to : str
        One of `RELATIVE_TO`.
    lower, upper : DataArray, optional
        The interval; NaN throughout for a method that has none.
    valid : DataArray of bool, optional
        False where the estimate is not to be used; by default where `activation` is finite. Nothing that is not
        finite is ever valid.
    interval_level : float
        The nominal coverage of the interval, for example .9; NaN without one.
    delay_s : float
        By how much the estimate lags the EMG; 0 for an estimator that looks both ways.
    configuration, versions : dict
        As JSON allows.
    seed : int, optional
    data_sha256 : str
        `data_hash` of what was estimated from.
    notes : sequence of str
        What a reader must know: "the input was an envelope already".

    Raises
    ------
    SignalError
        If the dimensions, the reference or the shapes are not as above.
    """

    def __init__(
        self,
        activation: xr.DataArray,
        *,
        method: str,
        relative_to: str,
        lower: xr.DataArray | None = None,
        upper: xr.DataArray | None = None,
        valid: xr.DataArray | None = None,
        interval_level: float = float("nan"),
        delay_s: float = 0.0,
        configuration: dict[str, Any] | None = None,
        versions: dict[str, str] | None = None,
        seed: int | None = None,
        data_sha256: str = "",
        notes: Sequence[str] = (),
    ) -> None:
        if activation.dims not in (("time", "muscle"), ("trial", "time", "muscle")):
            raise SignalError(
                f"an activation is (time, muscle) or (trial, time, muscle), not {tuple(activation.dims)}."
            )
        if relative_to not in RELATIVE_TO:
            raise SignalError(f"an activation is relative to one of {', '.join(RELATIVE_TO)}, not '{relative_to}'.")
        missing = activation.copy(data=np.full(activation.shape, np.nan))
        finite = np.isfinite(activation)
        usable = finite if valid is None else valid & finite
        self.dataset = xr.Dataset(
            {
                "activation": activation.drop_attrs(deep=False),
                "lower": missing if lower is None else lower,
                "upper": missing if upper is None else upper,
                "valid": usable,
            },
            attrs={
                "method": method,
                "relative_to": relative_to,
                "interval_level": float(interval_level),
                "delay_s": float(delay_s),
                "configuration": json.dumps(configuration or {}, sort_keys=True),
                "versions": json.dumps(versions or {}, sort_keys=True),
                "seed": -1 if seed is None else int(seed),
                "data_sha256": data_sha256,
                "notes": json.dumps(list(notes)),
            },
        )
        for variable in self.dataset.data_vars.values():
            variable.attrs = {"units": "1"}

    @classmethod
    def from_dataset(cls, dataset: xr.Dataset) -> Activation:
        """The inverse of `dataset`, as a file gives it back."""
        attrs = dataset.attrs
        return cls(
            dataset["activation"],
            lower=dataset["lower"],
            upper=dataset["upper"],
            valid=dataset["valid"].astype(bool),
            method=str(attrs["method"]),
            relative_to=str(attrs["relative_to"]),
            interval_level=float(attrs["interval_level"]),
            delay_s=float(attrs["delay_s"]),
            configuration=json.loads(attrs["configuration"]),
            versions=json.loads(attrs["versions"]),
            seed=None if int(attrs["seed"]) < 0 else int(attrs["seed"]),
            data_sha256=str(attrs["data_sha256"]),
            notes=json.loads(attrs["notes"]),
        )

    @property
    def activation(self) -> xr.DataArray:
        return self.dataset["activation"]

    @property
    def lower(self) -> xr.DataArray:
        return self.dataset["lower"]

    @property
    def upper(self) -> xr.DataArray:
        return self.dataset["upper"]

    @property
    def valid(self) -> xr.DataArray:
        return self.dataset["valid"]

    @property
    def muscles(self) -> list[str]:
        return [str(m) for m in self.dataset["muscle"].values]

    @property
    def method(self) -> str:
        return str(self.dataset.attrs["method"])

    @property
    def relative_to(self) -> str:
        return str(self.dataset.attrs["relative_to"])

    @property
    def interval_level(self) -> float:
        return float(self.dataset.attrs["interval_level"])

    @property
    def delay_s(self) -> float:
        return float(self.dataset.attrs["delay_s"])

    @property
    def notes(self) -> list[str]:
        return list(json.loads(self.dataset.attrs["notes"]))

    @property
    def configuration(self) -> dict[str, Any]:
        return dict(json.loads(self.dataset.attrs["configuration"]))

    @property
    def has_interval(self) -> bool:
        return bool(np.isfinite(self.lower).any())

    @property
    def sampling_rate(self) -> float:
        """In Hz."""
        return sampling_rate(self.activation)

    def to_pandas(self) -> pd.DataFrame:
        """Time by muscle; with trials, a row index of (trial, time)."""
        table = self.activation
        if "trial" in table.dims:
            table = table.stack(row=("trial", "time")).transpose("row", "muscle")
        return pd.DataFrame(table.values, index=table.indexes[table.dims[0]], columns=self.muscles)

    def __repr__(self) -> str:
        shape = ", ".join(f"{d} {n}" for d, n in self.activation.sizes.items())
        interval = f"{self.interval_level:.0%} interval" if self.has_interval else "no interval"
        return f"<Activation {self.method}: ({shape}) at {self.sampling_rate:g} Hz, relative to {self.relative_to}, {interval}>"
