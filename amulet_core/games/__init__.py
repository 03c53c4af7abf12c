"""Games: what a risk is, exactly. The adversary's view, its answer, and the truth that only the core knows."""
