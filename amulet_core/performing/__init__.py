"""Doing jobs: rows, training, attacks and measuring, in one process."""
