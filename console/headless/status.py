"""Exit statuses of every verb, the same everywhere."""

from __future__ import annotations

from enum import IntEnum


class Exit(IntEnum):
    """What an exit status means."""

    OK = 0
    FAILED = 1
    USAGE = 2
    UNREACHABLE = 3
    REFUSED = 4
    INTERRUPTED = 130


EPILOG = """exit status:
  0 done   1 failed   2 usage or configuration   3 a host could not be reached
  4 refused (the reason is printed)   130 interrupted
"""
