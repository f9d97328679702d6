"""Muscle activity estimated from movement: what is held out, every method side by side, the published questions."""
