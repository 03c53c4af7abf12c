"""A run: jobs on an executor, what goes on while they are done, and what an interrupted run goes on with."""
