"""The command line: what is asked for, and what is printed. Light until something runs."""
