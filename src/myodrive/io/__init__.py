"""Files in and out: one module for each format, and `read`, `write`, `describe` that choose among them."""

from myodrive.io.describe import Summary, describe
from myodrive.io.devices import Device, add_device
from myodrive.io.files import as_recording, read, write
from myodrive.io.opening import Choice
from myodrive.io.study import StudyEntry, read_study, study_files, study_name, study_pairs

__all__ = [
    "Choice",
    "Device",
    "StudyEntry",
    "Summary",
    "add_device",
    "as_recording",
    "describe",
    "read",
    "read_study",
    "study_files",
    "study_name",
    "study_pairs",
    "write",
]
