"""Data reconstruction: attacks, controls and the metric."""
