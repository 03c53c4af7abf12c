"""From a request to jobs, and everything that keeps them from being done, told before any is. Light."""
