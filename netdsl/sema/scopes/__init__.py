"""Names: where each may stand, and what it means there."""
