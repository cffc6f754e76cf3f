"""libvirt's numbers in words, as constants of the public API (libvirt-domain.h).

Numbers rather than imported names: this module is read without libvirt.
"""

from __future__ import annotations

from drivers.model.vm import VmState

# virDomainState
STATES: dict[int, VmState] = {
    0: VmState.UNKNOWN,
    1: VmState.RUNNING,
    2: VmState.BLOCKED,
    3: VmState.PAUSED,
    4: VmState.STOPPING,
    5: VmState.OFF,
    6: VmState.CRASHED,
    7: VmState.SUSPENDED,
}

# virDomainRunningReason, virDomainPausedReason ... by state
REASONS: dict[int, tuple[str, ...]] = {
    1: (
        "",
        "booted",
        "migrated here",
        "restored",
        "from snapshot",
        "unpaused",
        "migration cancelled",
        "save cancelled",
        "woken",
        "crashed",
        "post-copy",
        "post-copy failed",
    ),
    3: (
        "",
        "by user",
        "migrating",
        "saving",
        "dumping",
        "I/O error",
        "watchdog",
        "from snapshot",
        "shutting down",
        "snapshot",
        "crashed",
        "starting up",
        "post-copy",
        "post-copy failed",
        "API error",
    ),
    4: ("", "by user"),
    5: (
        "",
        "shut down",
        "destroyed",
        "crashed",
        "migrated away",
        "saved",
        "failed to start",
        "from snapshot",
        "daemon",
    ),
    6: ("", "panicked"),
    7: ("",),
}

# virDomainEventType to (change, word, details)
LIFECYCLE: dict[int, tuple[str, str, tuple[str, ...]]] = {
    0: ("defined", "defined", ("added", "updated", "renamed", "from snapshot")),
    1: ("undefined", "undefined", ("removed", "renamed")),
    2: ("started", "started", ("booted", "migrated here", "restored", "from snapshot", "woken")),
    3: (
        "suspended",
        "paused",
        (
            "by user",
            "migrating",
            "I/O error",
            "watchdog",
            "restored paused",
            "from snapshot",
            "API error",
            "post-copy",
            "post-copy failed",
        ),
    ),
    4: (
        "resumed",
        "resumed",
        ("by user", "migrated", "from snapshot", "post-copy", "post-copy failed"),
    ),
    5: (
        "stopped",
        "stopped",
        (
            "shut down",
            "destroyed",
            "crashed",
            "migrated away",
            "saved",
            "failed to start",
            "from snapshot",
        ),
    ),
    6: ("shutdown", "shutting down", ("finished", "from inside", "from the host")),
    7: ("pmsuspended", "suspended by the guest", ("to memory", "to disk")),
    8: ("crashed", "crashed", ("panicked", "crash loaded")),
}

# virConnectCloseReason
CLOSE_REASONS: tuple[str, ...] = (
    "connection error",
    "the other side hung up",
    "keepalive was not answered",
    "closed by this console",
)

# virDomainJobOperation
OPERATIONS: tuple[str, ...] = (
    "job",
    "starting",
    "saving",
    "restoring",
    "migrating in",
    "migrating out",
    "taking a snapshot",
    "reverting a snapshot",
    "dumping",
    "backing up",
    "deleting a snapshot",
)


def state_words(state: object, reason: object) -> tuple[VmState, str]:
    """The state and its reason; an unknown number is UNKNOWN, an unknown reason is empty."""
    if not isinstance(state, int):
        return VmState.UNKNOWN, ""
    reasons = REASONS.get(state, ())
    word = reasons[reason] if isinstance(reason, int) and 0 <= reason < len(reasons) else ""
    return STATES.get(state, VmState.UNKNOWN), word


def lifecycle_words(event: int, detail: int) -> tuple[str, str]:
    """(change, text) of a lifecycle event, such as ``("started", "started (booted)")``."""
    change, word, details = LIFECYCLE.get(event, ("lifecycle", f"event {event}", ()))
    if 0 <= detail < len(details):
        return change, f"{word} ({details[detail]})"
    return change, word
