"""Tests of executors against the direct interpreter."""
