"""The built-in data sets: the small ones embedded, the larger ones read from a folder or downloaded."""
