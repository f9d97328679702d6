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
    if mass_kg is not None and not MASS_KG[0] <= mass_kg <= MASS_KG[1]:
        raise OptionError(
            f"a mass of {mass_kg:g} kg is no person's.", where=where or "mass_kg", remedy="Give mass_kg in kg."
        )
    if height_m is not None and not HEIGHT_M[0] <= height_m <= HEIGHT_M[1]:
        raise OptionError(
            f"a height of {height_m:g} m is no person's.", where=where or "height_m", remedy="Give it in m."
        )


def person_of(recording: Recording) -> dict[str, float]:
    """``mass_kg`` and ``height_m`` as far as a C3D file of Plug-in Gait says them (``PROCESSING``)."""
    said = recording.info.get("PROCESSING", {})
    told = {"mass_kg": (said.get("Bodymass"), 1.0), "height_m": (said.get("Height"), 1e-3)}
    return {name: float(np.ravel(value)[0]) * scale for name, (value, scale) in told.items() if value is not None}
