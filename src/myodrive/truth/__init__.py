"""Recordings whose activation is known: drives, motor-unit pools, electrodes, named scenarios, a leg and arms that move."""

from myodrive.truth.analyses import simulate_for_analysis as simulate_for_analysis
from myodrive.truth.arm import simulate_arm as simulate_arm
from myodrive.truth.leg_opensim import write_trials as write_trials
from myodrive.truth.musculoskeletal import simulate_trials as simulate_trials
from myodrive.truth.scenarios import SCENARIOS as SCENARIOS
from myodrive.truth.scenarios import Scenario as Scenario
from myodrive.truth.simulate import simulate_recording as simulate_recording
