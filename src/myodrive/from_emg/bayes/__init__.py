"""The Bayesian jump-diffusion filter."""

from myodrive.from_emg.bayes.estimator import BayesFilter

__all__ = ["BayesFilter"]
