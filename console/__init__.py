"""Composition root, command line, poller, job runner and policy. Kept free of imports."""
