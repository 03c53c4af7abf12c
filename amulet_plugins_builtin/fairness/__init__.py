"""Group fairness: two defenses against discriminatory behavior, and its metric."""
