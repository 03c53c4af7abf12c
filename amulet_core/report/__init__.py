"""The report: one self-contained HTML file that reads ``amulet_core.results`` and nothing else."""
