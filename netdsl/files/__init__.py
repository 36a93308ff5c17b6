"""Files that are not the program's own: read with care, replaced in one step, kept in a cache."""
