"""Options from the words of the command line; a wrong one is named as the flag that gave it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from myodrive.evaluation.job import JobOptions


def reading_options(
    emg: list[str] | None, already: str | None, muscle: list[str] | None, rate_hz: float | None, units: str | None
) -> dict[str, Any]:
    """The options of reading that were given, by the names that `read` uses."""
    muscles = key_values(muscle, "--muscle", "LABEL=MUSCLE", "'Ch 3=left soleus'")
    given = {"emg": emg, "already": already, "muscles": muscles, "rate_hz": rate_hz, "units": units}
    return {k: v for k, v in given.items() if v not in (None, {})}


def method_settings(pairs: list[str]) -> dict[str, dict[str, Any]]:
    """`method.option=value` into {method: {option: value}}; a value is read as JSON where it can be."""
    from myodrive.errors import OptionError

    settings: dict[str, dict[str, Any]] = {}
    for pair in pairs:
        name, equals, text = pair.partition("=")
        method, dot, option = name.partition(".")
        if not (equals and dot):
            raise OptionError(
                f"'{pair}' is not METHOD.OPTION=VALUE.", where="--set", remedy="Example: --set low-pass.cutoff_hz=4."
            )
        try:
            value = json.loads(text)
        except ValueError:
            value = text
        settings.setdefault(method, {})[option] = value
    return settings


def muscle_pairs(pair: list[str] | None, files: list[Path] | None) -> dict[str, tuple[str, ...]]:
    """Those of the study.toml; what is given on the command line comes first."""
    from myodrive.io import study_pairs

    given = key_values(pair, "--pair", "MEASURED=SIMULATED[,SIMULATED]", "'Hams=semimem_r,semiten_r'")
    listed = {muscle: tuple(name.strip() for name in names.split(",")) for muscle, names in given.items()}
    return study_pairs(files or []) | listed


def job_options(options: dict[str, Any]) -> JobOptions:
    """The options, checked; a wrong one is named as the flag that gave it."""
    from pydantic import ValidationError

    from myodrive.errors import OptionError
    from myodrive.evaluation.job import JobOptions

    flags = {"methods": "method", "formats": "format", "muscles": "muscle", "notch_hz": "notch"}
    try:
        return JobOptions.model_validate(options)
    except ValidationError as error:
        fault = error.errors()[0]
        names = [str(place) for place in fault["loc"] if isinstance(place, str)]
        name = names[-1] if names else "options"
        flag = "--" + flags.get(name, name).replace("_", "-")
        raise OptionError(f"{fault['msg'].lower()} (found {fault['input']!r}).", where=flag) from error


def refuse_options(what: str, given: dict[str, Any]) -> None:
    from myodrive.errors import OptionError

    for flag, value in given.items():
        if value:
            raise OptionError(f"{what} does not take it.", where=flag)


def one_of(movement: Path | None, option: Path | None, flag: str) -> Path | None:
    from myodrive.errors import OptionError

    if movement and option:
        raise OptionError(f"the movement is given twice: {movement} and {option}.", where=flag)
    return movement or option


def key_values(pairs: list[str] | None, flag: str, form: str, example: str) -> dict[str, str]:
    """`key=value`, given once or more."""
    from myodrive.errors import OptionError

    found = {}
    for pair in pairs or []:
        key, equals, value = pair.partition("=")
        if not equals:
            raise OptionError(f"'{pair}' is not {form}.", where=flag, remedy=f"Example: {flag} {example}.")
        found[key] = value
    return found
