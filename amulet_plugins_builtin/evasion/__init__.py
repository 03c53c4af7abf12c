"""Evasion: attacks that change an input within a budget, training against them, and how much a model withstands."""
