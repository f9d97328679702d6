"""LFADS for EMG: one member; the population is the next step."""

from myodrive.from_emg.lfads.estimator import LFADS, LFADSConfig

__all__ = ["LFADS", "LFADSConfig"]
