"""Everything that is looked at before a VM moves: one list of checks for every place that asks."""
