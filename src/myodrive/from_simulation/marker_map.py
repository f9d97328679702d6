"""Tying the labels of a laboratory to the markers of a model, and saying what was matched and what was not."""

from __future__ import annotations

import dataclasses
import re
import tomllib
from collections.abc import Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from scipy.interpolate import PchipInterpolator

from myodrive.errors import FileError, OptionError, SignalError

LONGEST_GAP_S = 0.2  # of a marker, that is filled by interpolation; in a longer one a joint may do anything
_TABLES = {"about", "labels", "means", "weights", "lengths"}


@dataclasses.dataclass(frozen=True)
class MarkerMap:
    """One set of `markers.toml`."""

    name: str
    about: str = ""
    labels: Mapping[str, str] = dataclasses.field(default_factory=dict)  # label in the recording: marker of the model
    means: Mapping[str, Sequence[str]] = dataclasses.field(default_factory=dict)  # label: labels that it lies between
    weights: Mapping[str, float] = dataclasses.field(default_factory=dict)  # marker of the model: weight
    lengths: Mapping[str, Sequence[Sequence[str]]] = dataclasses.field(default_factory=dict)  # body: pairs of markers


@dataclasses.dataclass(frozen=True)
class MarkerMatch:
    """Which label became which marker."""

    map: MarkerMap
    used: dict[str, str]  # label: marker of the model
    unused_labels: tuple[str, ...]
    unmatched_markers: tuple[str, ...]  # of the model
    bare_bodies: tuple[str, ...]  # bodies that have markers in the model, none of which was recorded
    means: dict[str, tuple[str, ...]]  # label that was not recorded: those whose mean stands for it

    @property
    def weights(self) -> dict[str, float]:
        """For each marker that is followed."""
        weights = {marker: float(self.map.weights.get(marker, 1.0)) for marker in self.used.values()}
        return {marker: weight for marker, weight in weights.items() if weight > 0}


def read_marker_maps(path: str | Path | None = None) -> dict[str, MarkerMap]:
    """The sets of a ``markers.toml``; without a path those that come with the package.

    Raises
    ------
    FileError
        If it is missing, no TOML, or has a table that means nothing.
    """
    if path is None:
        text, name = resources.files(__package__).joinpath("markers.toml").read_text(encoding="utf-8"), "markers.toml"
    else:
        try:
            text, name = Path(path).read_text(encoding="utf-8"), Path(path).name
        except OSError as error:
            raise FileError(f"cannot be read ({error.strerror}).", where=str(path)) from error
    try:
        content = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise FileError(f"is no TOML: {error}.", where=name) from error
    return {set_name: _one_map(set_name, tables, name) for set_name, tables in content.items()}


def match_markers(
    labels: Sequence[str], markers: Mapping[str, str], choice: str | Path | None = None, *, where: str = "markers"
) -> MarkerMatch:
    """Tie the labels of a recording to the markers of a model.

    Parameters
    ----------
    labels : sequence of str
        As recorded.
    markers : dict of str to str
        Marker of the model: the body that it is on.
    choice : str or path, optional
        The name of a set that comes with the package, or a file with one set. Without it, the set that matches most.

    Raises
    ------
    OptionError
        If there is no such set.
    SignalError
        If fewer than three labels belong to a marker.
    """
    shipped = read_marker_maps()
    if choice is None:
        candidates = [*shipped.values()]
    elif str(choice) in shipped:
        candidates = [shipped[str(choice)]]
    elif Path(choice).suffix.lower() == ".toml":
        candidates = [*read_marker_maps(choice).values()]
    else:
        raise OptionError(
            f"there is no marker map '{choice}'. Known: {', '.join(shipped)}.",
            where="--marker-map",
            remedy="Or give a .toml file of your own.",
        )
    match = max((_match(labels, markers, m) for m in candidates), key=lambda m: len(m.used))
    if len(match.used) < 3:
        raise SignalError(
            f"{len(match.used)} of {len(labels)} labels belong to markers of the model, and three at least are needed. "
            f"Recorded: {_some(labels)}. In the model: {_some(sorted(markers))}.",
            where=where,
            remedy="Write a marker map (docs/simulate.md) and give it with --marker-map.",
        )
    return match


def with_means(markers: xr.DataArray, match: MarkerMatch) -> xr.DataArray:
    """The recorded markers, and those that stand for what was not recorded: NaN where any of their labels is."""
    made = [
        markers.sel(marker=list(parts)).mean("marker", skipna=False).expand_dims(marker=[label])
        for label, parts in match.means.items()
    ]
    return xr.concat([markers, *made], "marker").transpose(*markers.dims) if made else markers


def fill_markers(markers: xr.DataArray, where: str) -> tuple[xr.DataArray, dict[str, str]]:
    """Fill short gaps, and leave out markers with long ones.

    Returns
    -------
    DataArray
        Without NaN.
    dict of str to str
        What was done to each marker that had gaps.
    """
    time, done, kept = markers.time.values, {}, []
    values = markers.values.copy()
    for j, label in enumerate(map(str, markers.marker.values)):
        seen = np.isfinite(values[:, j]).all(axis=1)
        start, longest = _longest_gap(time, seen)
        if longest > LONGEST_GAP_S or seen.sum() < 2:
            done[label] = (
                f"left out: not seen for {longest:.2f} s from {start:.2f} s on ({100 * (1 - seen.mean()):.0f} % of the stretch)"
            )
            continue
        if longest > 0:
            values[:, j] = PchipInterpolator(time[seen], values[seen, j], axis=0)(time)
            done[label] = f"filled: gaps of up to {longest:.2f} s"
        kept.append(j)
    if len(kept) < 3:
        raise SignalError(
            f"{len(kept)} markers are seen without a gap of more than {LONGEST_GAP_S:g} s, and three at least are needed: "
            f"{'; '.join(f'{k} {v}' for k, v in done.items())}.",
            where=where,
            remedy="Fill the gaps in the motion capture software, or choose a stretch with --start and --end.",
        )
    return markers.copy(data=values).isel(marker=kept), done


# -- inside ----------------------------------------------------------------------------------------------------------


def _one_map(name: str, tables: Any, file: str) -> MarkerMap:
    if not isinstance(tables, dict) or not set(tables) <= _TABLES:
        found = ", ".join(sorted(set(tables) - _TABLES)) if isinstance(tables, dict) else repr(tables)
        raise FileError(
            f"[{name}] may hold {', '.join(sorted(_TABLES))}, and has {found}.",
            where=file,
            remedy="See docs/simulate.md.",
        )
    return MarkerMap(name, **tables)


def _match(labels: Sequence[str], markers: Mapping[str, str], known: MarkerMap) -> MarkerMatch:
    of_model = {_bare(m): m for m in markers}
    of_map = {_bare(label): marker for label, marker in known.labels.items()}
    used: dict[str, str] = {}
    for label in labels:
        bare = _bare(label)
        marker = of_model.get(_bare(of_map.get(bare, bare)))
        if marker is not None and marker not in used.values():
            used[label] = marker
    means = _means(labels, used, of_model, known)
    used |= {label: of_model[_bare(known.labels.get(label, label))] for label in means}
    with_marker = {markers[m] for m in used.values()}
    return MarkerMatch(
        known,
        used,
        tuple(label for label in labels if label not in {*used, *(p for parts in means.values() for p in parts)}),
        tuple(m for m in markers if m not in used.values()),
        tuple(dict.fromkeys(b for b in markers.values() if b not in with_marker)),
        means,
    )


def _means(
    labels: Sequence[str], used: Mapping[str, str], of_model: Mapping[str, str], known: MarkerMap
) -> dict[str, tuple[str, ...]]:
    """What the model has, nobody recorded, and lies between labels that were recorded and are not followed themselves."""
    recorded = {_bare(label): label for label in labels}
    found = {}
    for label, between in known.means.items():
        marker = of_model.get(_bare(known.labels.get(label, label)))
        parts = tuple(recorded[_bare(b)] for b in between if _bare(b) in recorded)
        if marker and marker not in used.values() and len(parts) == len(between) and not set(parts) <= set(used):
            found[label] = parts
    return found


def _bare(label: str) -> str:
    """Without the subject's name that some systems put before it ("Anna:RASI"), capitals, dots and blanks."""
    return re.sub(r"[^a-z0-9]", "", label.split(":")[-1].lower())


def _longest_gap(time: np.ndarray, seen: np.ndarray) -> tuple[float, float]:
    """Start and length in seconds of the longest stretch without the marker, its two borders included."""
    edges = np.flatnonzero(np.diff(np.r_[True, seen, True].astype(np.int8)))
    if not edges.size:
        return 0.0, 0.0
    step = float(np.median(np.diff(time))) if time.size > 1 else 0.0
    gaps = [(float(time[a]), float(time[b - 1] - time[a]) + step) for a, b in zip(edges[::2], edges[1::2])]
    return max(gaps, key=lambda gap: gap[1])


def _some(names: Sequence[str], n: int = 8) -> str:
    return ", ".join(map(str, names[:n])) + (", …" if len(names) > n else "")
