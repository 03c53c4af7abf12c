"""One light module of descriptors and parameters for each group of built-in components."""
