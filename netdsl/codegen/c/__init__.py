"""C: operations as loops, printed for the user's own compiler."""
