"""The published analyses, each runnable on one's own data and on recordings whose right answer is known."""

from myodrive.evaluation.experiments.contract import Experiment as Experiment
from myodrive.evaluation.experiments.contract import experiments as experiments
from myodrive.evaluation.experiments.result import ExperimentResult as ExperimentResult
from myodrive.evaluation.experiments.runner import run_experiment as run_experiment
