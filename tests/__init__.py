"""Tests, in the order of the compiler's phases."""
