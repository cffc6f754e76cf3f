"""A deterministic simulated fleet, always marked SIMULATED."""
