"""`read` and `write`: any file, by what is in it."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from myodrive.activation import Activation
from myodrive.errors import FileError, MissingExtraError, OptionError, SignalError
from myodrive.io.channels import rechoose
from myodrive.io.child import read_isolated
from myodrive.io.opening import Choice, check_path, read_head
from myodrive.recording import Recording, Study

_HEAD_BYTES = 64 * 1024
_READERS = {
    # format: (module, function); imported when the first such file comes
    "c3d": ("c3d", "read_c3d"),
    "trc": ("opensim_tables", "read_trc"),
    "storage": ("opensim_tables", "read_storage"),
    "anc": ("anc", "read_anc"),
    "text": ("text", "read_text"),
    "npz": ("npz", "read_npz"),
    "matlab": ("matlab", "read_matlab"),
    "edf": ("edf", "read_edf"),
    "parquet": ("parquet", "read_parquet"),
}
_ISOLATED = {
    # read in a child process, because the HDF5 library crashes on some damaged files
    "matlab73": ("matlab", "read_matlab"),
    "hdf5": ("hdf5", "read_hdf5"),
    "nwb": ("nwb", "read_nwb"),
}
SUFFIXES = {
    ".c3d": "c3d",
    ".trc": "trc",
    ".sto": "storage",
    ".mot": "storage",
    ".anc": "anc",
    ".csv": "text",
    ".tsv": "text",
    ".txt": "text",
    ".npz": "npz",
    ".npy": "npz",
    ".mat": "matlab",
    ".nc": "netcdf",
    ".h5": "hdf5",
    ".hdf5": "hdf5",
    ".nwb": "nwb",
    ".edf": "edf",
    ".bdf": "edf",
    ".parquet": "parquet",
}
"""Which format a suffix promises. What is read is decided by the content."""

_TEXT_FORMATS = ("trc", "storage", "anc", "text")


def read(
    path: str | Path,
    *,
    emg: str | Sequence[str] | None = None,
    already: str | None = None,
    muscles: Mapping[str, str] | None = None,
    rate_hz: float | None = None,
    units: str | None = None,
    subject: str = "",
    session: str = "",
    movement: str = "",
    repetition: str = "",
) -> Recording:
    """Open a recording, whatever its format.

    Parameters
    ----------
    path : path
        C3D, TRC, MOT, STO, EDF, BDF, NWB, MATLAB, CSV and other text, HDF5, npz, Parquet, or a file written here.
        Text and npz may be packed (.gz, .xz).
    emg : str or list of str, optional
        Which channels are EMG: labels, shell patterns (``"EMG*"``) or regular expressions (``"EMG.*"``), in the order
        that is wanted. By default label, unit and type decide.
    already : str, optional
        How far the EMG is processed: "raw", "filtered", "rectified" or "envelope". By default the file's own word, or
        what the samples show.
    muscles : dict, optional
        Corrects what was recognised: ``{"EMG1": "left soleus"}``.
    rate_hz : float, optional
        The sampling rate of the EMG, where the file does not say it or says it wrongly.
    units : str, optional
        The unit of the EMG, likewise.
    subject, session, movement, repetition : str
        Who, when, what, which time.

    Returns
    -------
    Recording

    Raises
    ------
    FileError
        If the file is missing, damaged, or not what its name says.
    SignalError
        If the channels named in `emg` are not in it, or no sampling rate is known.

    Examples
    --------
    >>> import myodrive as md
    >>> recording = md.read("walk03.c3d", emg="EMG.*")  # doctest: +SKIP
    """
    path = check_path(path)
    choice = Choice(emg, already, muscles, rate_hz, units)
    _check_choice(choice)
    kind = find_format(path)
    if kind == "netcdf":
        recording = _read_own(path, choice)
    else:
        try:
            if kind in _ISOLATED:
                recording = read_isolated(*_ISOLATED[kind], path, choice)
            else:
                recording = _function("read", kind)(path, choice)
        except (SignalError, FileError) as error:
            raise error.at(path) from error
        except MemoryError as error:
            raise FileError("needs more memory than there is.", where=path, remedy="Cut it into parts.") from error
    said = {"subject": subject, "session": session, "movement": movement, "repetition": repetition}
    return recording.replace(**{k: str(v) for k, v in said.items() if v})


def write(thing: Recording | Study | Activation, path: str | Path, *, signal: str | None = None) -> Path:
    """Write a Recording, a Study or an Activation in the format of the path's suffix.

    Parameters
    ----------
    thing : Recording, Study or Activation
    path : path
        ``.nc`` keeps everything; ``.npz`` and ``.mat`` keep a whole Recording; ``.c3d`` markers, EMG, other channels and
        events; ``.edf``, ``.bdf`` and ``.nwb`` the signals with a constant rate; ``.sto``, ``.mot``, ``.csv``, ``.tsv``
        and ``.parquet`` one table; ``.trc`` the markers.
    signal : str, optional
        Which signal of a Recording goes into a table; by default the EMG.

    Raises
    ------
    OptionError
        If the suffix is none of these, or the format cannot hold such a thing.
    FileError
        If it cannot be written; what was there before is then untouched.
    """
    path = Path(path)
    suffix = path.suffix.lower()
    if suffix in (".nc", ".h5", ".hdf5"):
        return _function("write", "netcdf")(thing, path)
    if isinstance(thing, Study):
        raise OptionError(f"a Study cannot be written as '{suffix}'.", remedy="Write it as .nc.")
    if suffix in (".sto", ".mot"):
        return _function("write", "storage")(thing, path, signal=signal)
    if suffix in (".csv", ".tsv", ".txt"):
        return _function("write", "text")(thing, path, signal=signal)
    if suffix == ".parquet":
        return _function("write", "parquet")(thing, path, signal=signal)
    if suffix not in (".npz", ".mat", ".c3d", ".edf", ".bdf", ".nwb", ".trc"):
        raise OptionError(
            f"'{path.name}' has no suffix that can be written.",
            remedy="One of: .nc .sto .mot .csv .tsv .mat .npz .parquet .edf .bdf .c3d .nwb .trc",
        )
    if isinstance(thing, Activation):
        if suffix == ".trc":
            raise OptionError("a TRC file holds markers, and an activation has none.", remedy="Write .sto or .csv.")
        thing = as_recording(thing)
    return _function("write", SUFFIXES[suffix])(thing, path)


def as_recording(activation: Activation) -> Recording:
    """An Activation as a Recording with the signals ``activation`` and, where there are any, ``lower`` and ``upper``.

    Samples that are not valid are NaN.

    Raises
    ------
    SignalError
        If there are trials in it.
    """
    dataset = activation.dataset.where(activation.valid)
    if "trial" in dataset.dims:
        raise SignalError("an activation of several trials fits only .nc and .csv.", remedy="Choose one trial.")
    names = ("activation", "lower", "upper") if activation.has_interval else ("activation",)
    return Recording(
        {n: dataset[n].rename(None).assign_attrs(units="1") for n in names}, info=dict(activation.dataset.attrs)
    )


def find_format(path: Path) -> str:
    """The format of a file: by its first bytes, and for text by its header.

    Raises
    ------
    FileError
        If it is of no kind that can be read, or is text under a name that promises another format.
    """
    head = read_head(path, _HEAD_BYTES)
    promised = promised_format(path)
    kind = _binary_format(head, path)
    if kind:
        return kind
    if promised == "c3d":
        return "c3d"  # its reader says what is wrong with it
    text = head.decode("utf-16" if head[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8", errors="replace")
    if "\0" in text[:4096]:
        raise FileError("is of a format that is not known here.", where=path, remedy="Export it as C3D, EDF or CSV.")
    if promised and promised not in _TEXT_FORMATS:
        raise FileError(
            f"is called {path.suffix}, but its content is text.", where=path, remedy="Give it its true suffix."
        )
    return _text_format(text, promised)


def promised_format(path: Path) -> str:
    """The format that a file's name promises; "" for an unknown suffix."""
    suffixes = [s.lower() for s in path.suffixes]
    if suffixes and suffixes[-1] in (".gz", ".xz"):
        suffixes.pop()
    return SUFFIXES.get(suffixes[-1], "") if suffixes else ""


# -- inside ----------------------------------------------------------------------------------------------------------


def _binary_format(head: bytes, path: Path) -> str:
    from myodrive.io.c3d import is_c3d
    from myodrive.io.hdf5_file import MAGIC

    if head[:10] == b"MATLAB 5.0":
        return "matlab"
    if head[:10] == b"MATLAB 7.3":
        return "matlab73"
    if head[: len(MAGIC)] == MAGIC:
        return "netcdf" if b"myodrive_format" in head else _hdf5_format(path)
    if head[:6] == b"\x93NUMPY":
        return "npz"
    if head[:2] == b"PK":
        if b"[Content_Types].xml" in head[:2048]:
            raise FileError("is an Excel workbook.", where=path, remedy="Save the sheet as CSV.")
        return "npz"
    if head[:4] == b"PAR1":
        return "parquet"
    if head[:8] in (b"0       ", b"\xffBIOSEMI"):
        return "edf"
    if head[:2] in (b"\x80\x03", b"\x80\x04", b"\x80\x05"):
        raise FileError("is a Python pickle, which could run any program when loaded: refused.", where=path)
    return "c3d" if is_c3d(head) else ""


def _hdf5_format(path: Path) -> str:
    from myodrive.io.netcdf import is_own

    if is_own(path):
        return "netcdf"
    promised = promised_format(path)
    return "matlab73" if promised == "matlab" else "nwb" if promised == "nwb" else "hdf5"


def _text_format(text: str, promised: str) -> str:
    from myodrive.io.opensim_tables import is_storage, is_trc

    if is_trc(text):
        return "trc"
    if is_storage(text) or promised == "storage":
        return "storage"
    if text.startswith("File_Type:"):
        return "anc"
    return "trc" if promised == "trc" else "text"


def _function(task: str, kind: str) -> Callable[..., Any]:
    module, name = _READERS.get(kind, (kind, f"read_{kind}"))
    try:
        return getattr(importlib.import_module(f"myodrive.io.{module}"), name.replace("read", task, 1))
    except ModuleNotFoundError as error:
        extra = {"pynwb": "nwb", "hdmf": "nwb", "pyarrow": "parquet"}.get((error.name or "").split(".")[0])
        if extra is None:
            raise
        raise MissingExtraError(f"{'Reading' if task == 'read' else 'Writing'} {kind}", extra) from error


def _check_choice(choice: Choice) -> None:
    if choice.rate_hz is not None and not 0 < choice.rate_hz < float("inf"):
        raise OptionError(f"rate_hz is a positive number of samples per second, not {choice.rate_hz!r}.")


def _read_own(path: Path, choice: Choice) -> Recording:
    from myodrive.io.netcdf import read_netcdf

    thing = read_netcdf(path)
    if isinstance(thing, Activation):
        return as_recording(thing)
    if isinstance(thing, Study):
        raise FileError(f"holds a study of {len(thing)} recordings.", where=path, remedy="Open it with read_study().")
    return rechoose(thing, choice, where=path.name)
