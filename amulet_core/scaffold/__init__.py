"""What ``amulet new`` writes: a package of one's own, made of the templates beside this module."""
