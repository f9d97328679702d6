"""The quality check of each EMG channel: `check_emg` reports, `mask_emg` masks, nothing repairs."""

from myodrive.conditioning.quality.check import check_emg, mask_emg
from myodrive.conditioning.quality.types import Finding

__all__ = ["Finding", "check_emg", "mask_emg"]
