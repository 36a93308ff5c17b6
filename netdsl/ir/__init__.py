"""Intermediate representations: the network graph and the step program."""
