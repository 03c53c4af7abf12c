"""Poisoning: attacks, defenses, and the metric."""
