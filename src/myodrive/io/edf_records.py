"""How an EDF or BDF file is laid out: whether all of it is there, and when each of its records begins."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float

from myodrive.errors import FileError
from myodrive.io.opening import MIB, budget

_FIXED_HEADER = 256  # bytes, and as many again for each channel
_LABEL_LETTERS = 16
_SAMPLES_FIELD = 216  # bytes of each channel's header before the number of samples
_ONSET = re.compile(rb"([+-]\d{1,12}(?:\.\d*)?)(?:\x15[\d.]*)?\x14")
_OFF_THE_CLOCK = 0.01  # of a sample; less is the rounding of the file's own decimals
_LARGEST = 1024 * MIB  # that any file may take: 8 channels at 2 kHz for two hours
_REMEDY = "Export it as continuous EDF+C."


@dataclasses.dataclass(frozen=True)
class Layout:
    """Where everything stands in a file whose length is as its header declares."""

    path: Path
    is_bdf: bool
    has_gaps: bool  # as the header says: EDF+D or BDF+D
    header_bytes: int
    n_records: int
    record_s: float
    labels: tuple[str, ...]  # of all channels, annotations among them
    n_samples: tuple[int, ...]  # of each channel in one record

    @property
    def sample_bytes(self) -> int:
        return 3 if self.is_bdf else 2


def read_layout(path: Path) -> Layout:
    """Read the header, and refuse a file that is shorter than it declares (the library would return less).

    Raises
    ------
    FileError
        If the header is none, or the file is cut short.
    """
    with path.open("rb") as stream:
        head = stream.read(_FIXED_HEADER)
        is_bdf = head[:1] == b"\xff"
        try:
            header_bytes, n_records, n_channels = int(head[184:192]), int(head[236:244]), int(head[252:256])
            rest = stream.read(max(header_bytes - _FIXED_HEADER, 0))
            if n_channels < 1 or len(head) < _FIXED_HEADER or len(rest) < 256 * n_channels:
                raise ValueError("header")
            record_s = float(head[244:252])
            n_samples = tuple(map(int, _fields(rest, n_channels, _SAMPLES_FIELD, 8)))
        except ValueError as error:
            raise FileError("is no EDF or BDF file, or its header is damaged.", where=path) from error
    labels = tuple(field.decode("latin-1").strip() for field in _fields(rest, n_channels, 0, _LABEL_LETTERS))
    has_gaps = head[192:197] in (b"EDF+D", b"BDF+D")
    layout = Layout(path, is_bdf, has_gaps, header_bytes, n_records, record_s, labels, n_samples)
    declared = header_bytes + n_records * sum(n_samples) * layout.sample_bytes
    size = path.stat().st_size
    if n_records < 0 or min(n_samples) < 0 or size < declared:
        raise FileError(
            f"is cut short: it has {size} bytes, and its header declares "
            f"{declared if n_records >= 0 else 'no number of records (the recording was not closed)'}.",
            where=path,
            remedy="Copy or export it again.",
        )
    return layout


def record_starts(layout: Layout) -> Float[np.ndarray, " record"]:
    """When each record begins, in seconds from the first: the first annotation of each says it.

    Raises
    ------
    FileError
        If a record does not say it.
    """
    name = f"{'BDF' if layout.is_bdf else 'EDF'} Annotations"
    if name not in layout.labels:
        raise FileError("has gaps in time (EDF+D), and no annotations to say where.", where=layout.path, remedy=_REMEDY)
    channel = layout.labels.index(name)
    before, own = sum(layout.n_samples[:channel]), layout.n_samples[channel]
    shape = (layout.n_records, sum(layout.n_samples) * layout.sample_bytes)
    records = np.fromfile(layout.path, np.uint8, shape[0] * shape[1], offset=layout.header_bytes).reshape(shape)
    said = records[:, before * layout.sample_bytes : (before + own) * layout.sample_bytes]
    found = [_ONSET.match(record.tobytes()) for record in said]
    if None in found:
        raise FileError(
            f"has gaps in time (EDF+D), and its record {found.index(None) + 1} does not say when it begins.",
            where=layout.path,
            remedy=_REMEDY,
        )
    onsets = np.array([float(onset.group(1)) for onset in found if onset])
    return onsets - onsets[:1]


def put_on_one_clock(
    values: Float[np.ndarray, "sample channel"], rate_hz: float, starts_s: Float[np.ndarray, " record"], path: Path
) -> Float[np.ndarray, "time channel"]:
    """The samples of each record at its place on one clock, to the nearest sample; NaN in the gaps between records.

    Raises
    ------
    FileError
        If records overlap, or the gaps are so long that their missing samples would fill the memory.
    """
    n_each = len(values) // starts_s.size
    places = starts_s * rate_hz
    early = np.flatnonzero(np.diff(np.rint(places)) < n_each)
    if early.size:
        raise FileError(
            f"record {early[0] + 2} begins at {starts_s[early[0] + 1]:g} s, before the one ahead of it ends.",
            where=path,
            remedy=_REMEDY,
        )
    limit = max(budget(path), _LARGEST)
    if (places[-1] + n_each) * values.shape[1] * values.itemsize > limit:
        raise FileError(
            f"has gaps so long that it lasts {starts_s[-1]:g} s, which takes more than {limit // MIB} MiB.",
            where=path,
            remedy="Cut it at its gaps.",
        )
    first = np.rint(places).astype(int)
    whole = np.full((int(first[-1]) + n_each, values.shape[1]), np.nan)
    whole[(first[:, None] + np.arange(n_each)).ravel()] = values
    return whole


def describe_gaps(layout: Layout, starts_s: Float[np.ndarray, " record"], rates_hz: Sequence[float]) -> list[str]:
    """What must be said of a file whose records were put on the clocks of these rates."""
    gaps = np.diff(starts_s) - layout.record_s
    gaps = gaps[gaps > 0.5 / max(rates_hz)]
    off = [np.abs(starts_s * rate - np.rint(starts_s * rate)).max() for rate in rates_hz]  # in samples
    moved_s = max(samples / rate for samples, rate in zip(off, rates_hz))
    moved = [f"records were moved by up to {1e3 * moved_s:.2g} ms onto one clock."] if max(off) > _OFF_THE_CLOCK else []
    lost = [f"gaps in time ({gaps.size}, together {gaps.sum():.6g} s) are missing samples here."] if gaps.size else []
    return lost + moved


def _fields(header: bytes, n_channels: int, before: int, size: int) -> list[bytes]:
    """One field of each channel's header: all channels' first fields stand before all their second ones."""
    return [header[before * n_channels + size * i : before * n_channels + size * (i + 1)] for i in range(n_channels)]
