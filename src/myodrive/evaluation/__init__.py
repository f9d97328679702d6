"""Scores, references, statistics and the jobs that put them together."""
