"""Refusals: one clear sentence that names the place, what was found, and what to do."""

from __future__ import annotations

from pathlib import Path


class MyodriveError(ValueError):
    """Base of every refusal.

    Parameters
    ----------
    what : str
        What was expected and what was found.
    where : path or str, optional
        The file, or the channel or line in it.
    remedy : str, optional
        What the user can do now.
    """

    def __init__(self, what: str, *, where: str | Path | None = None, remedy: str | None = None) -> None:
        self.what, self.where, self.remedy = what, where, remedy
        place = f"{where.name if isinstance(where, Path) else where}: " if where else ""
        super().__init__(f"{place}{what}{' ' + remedy if remedy else ''}")

    def at(self, where: str | Path) -> MyodriveError:
        """The same refusal with its place, for a caller who knows the file when the thrower did not."""
        return self if self.where else type(self)(self.what, where=where, remedy=self.remedy)


class FileError(MyodriveError):
    """A file is missing, damaged, or not what its name says."""


class SignalError(MyodriveError):
    """A recording lacks the signal that was asked for, or the signal cannot be used."""


class OptionError(MyodriveError):
    """An option has a value that makes no sense, or two options contradict each other."""


class NotFittedError(MyodriveError):
    """`estimate` was called before `fit`."""


class MissingExtraError(MyodriveError):
    """An optional package is needed.

    Parameters
    ----------
    task : str
        What needs it, as the start of a sentence: "Reading NWB".
    extra : str
        The extra of myodrive that brings it.
    """

    def __init__(self, task: str, extra: str) -> None:
        MyodriveError.__init__(
            self, f"{task} needs a package that is not installed.", remedy=f"Run: pip install 'myodrive[{extra}]'."
        )
