"""What a person may weigh and measure, and what a C3D file says of it."""

from __future__ import annotations

import numpy as np

from myodrive.errors import OptionError
from myodrive.recording import Recording

MASS_KG = (1.0, 300.0)
HEIGHT_M = (0.4, 2.5)


def check_person(mass_kg: float | None = None, height_m: float | None = None, *, where: str = "") -> None:
    """Refuse a mass or a height that no person has.

    Raises
    ------
    OptionError
    """
    for name, value, unit, (low, high) in (("mass", mass_kg, "kg", MASS_KG), ("height", height_m, "m", HEIGHT_M)):
        if value is not None and not low <= value <= high:
            raise OptionError(
                f"a {name} of {value:g} {unit} is no person's.", where=where, remedy=f"Give it in {unit}."
            )


def person_of(recording: Recording) -> dict[str, float]:
    """``mass_kg`` and ``height_m`` as far as a C3D file of Plug-in Gait says them (``PROCESSING``)."""
    said = recording.info.get("PROCESSING", {})
    told = {"mass_kg": (said.get("Bodymass"), 1.0), "height_m": (said.get("Height"), 1e-3)}
    return {name: float(np.ravel(value)[0]) * scale for name, (value, scale) in told.items() if value is not None}
