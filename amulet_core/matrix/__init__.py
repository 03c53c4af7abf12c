"""From cells to the matrix: changes, verdicts, conflicts, and the tables that show them."""
