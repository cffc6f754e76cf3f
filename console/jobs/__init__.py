"""Plans carried out: journaled step by step, followed live, verified by re-reading the hosts."""
