"""Every judgement as a pure function of a snapshot: no I/O, no clock, no asyncio."""
