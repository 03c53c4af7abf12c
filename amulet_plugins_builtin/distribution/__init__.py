"""Distribution inference: attacks, their control, and the metric."""
