"""Membership inference: attacks that tell a model's training rows from others, their control, and their metric."""
