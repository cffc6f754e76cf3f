"""Passive Textual screens: frozen values in, request messages out."""
