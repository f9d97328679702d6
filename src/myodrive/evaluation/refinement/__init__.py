"""Refinement of simulated activity on a study: what is paired, what is held out, every correction side by side."""
