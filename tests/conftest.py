"""Shapes and types are checked in every call that a test makes; real recordings are found through one fixture."""

from __future__ import annotations

from pathlib import Path

import pytest
from jaxtyping import install_import_hook

install_import_hook("myodrive", "typecheck.check")


SHARED_DATA = Path(__file__).resolve().parents[2] / "shared" / "data"


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real recordings beside the checkout."""
    if not SHARED_DATA.is_dir():
        pytest.skip("the real recordings (../shared/data) are not beside this checkout")
    return SHARED_DATA
