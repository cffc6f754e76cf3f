"""Everything that touches a host: one protocol, several drivers behind it."""
