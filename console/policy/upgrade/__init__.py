"""Upgrading a set of hosts one after another: plans, order, health and words. Pure."""
