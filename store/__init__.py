"""Recorded history and the job journal, in DuckDB. The only place with SQL."""
