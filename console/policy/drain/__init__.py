"""Emptying a host: who goes where, in which order, and whether it can be done at all."""
