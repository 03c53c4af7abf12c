"""Published knowledge of interactions, as data: shown beside a measurement, never in its place."""
