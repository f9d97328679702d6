"""Recordings whose activation is known: drives, motor-unit pools, electrodes, and named scenarios."""

from myodrive.truth.analyses import simulate_for_analysis as simulate_for_analysis
from myodrive.truth.scenarios import SCENARIOS as SCENARIOS
from myodrive.truth.scenarios import Scenario as Scenario
from myodrive.truth.simulate import simulate_recording as simulate_recording
