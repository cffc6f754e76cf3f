"""Exit statuses of every verb, the same everywhere."""

from __future__ import annotations

from enum import IntEnum

UNKNOWN = "unknown"
"""Code of an error: the command line names something that is not there."""

UNSEEN = "unseen"
"""Code of an error: it names a VM that may be on a host which was not read."""


class Exit(IntEnum):
    """What an exit status means."""

    OK = 0
    FAILED = 1
    USAGE = 2
    UNREACHABLE = 3
    REFUSED = 4
    INTERRUPTED = 130


def status_of(code: str) -> Exit:
    """The exit status for an error of that code which nothing but the person can mend."""
    return {UNKNOWN: Exit.USAGE, UNSEEN: Exit.UNREACHABLE}.get(code, Exit.FAILED)


EPILOG = """exit status:
  0 done   1 failed   2 usage or configuration, such as a host, VM, job or operation that is not
  there   3 a host could not be reached, or the VM may be on one   4 refused (the reason is
  printed)   130 interrupted
"""
