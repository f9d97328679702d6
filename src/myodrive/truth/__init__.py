"""Recordings whose activation is known."""
