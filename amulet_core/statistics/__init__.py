"""Intervals, tests and verdicts as pure functions of arrays; nothing here may know a plugin, a model or a file."""
