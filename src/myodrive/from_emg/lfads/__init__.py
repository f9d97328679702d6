"""LFADS for EMG: one network, and a population that finds its own hyperparameters."""

from myodrive.from_emg.lfads.autolfads import AutoLFADS, AutoLFADSConfig
from myodrive.from_emg.lfads.estimator import LFADS
from myodrive.from_emg.lfads.options import LFADSConfig

__all__ = ["LFADS", "AutoLFADS", "AutoLFADSConfig", "LFADSConfig"]
