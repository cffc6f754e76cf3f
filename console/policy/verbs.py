"""The verbs a plan's steps are made of: the one place that names them.

A plan (policy) writes them, a job (console.jobs) executes them. ``args`` are listed with each; all
values are strings, lists are comma-separated, mappings are JSON.
"""

from __future__ import annotations

from enum import StrEnum

from drivers.model import kept


class Verb(StrEnum):
    """What a step does. Disks are named by target device, volumes by path."""

    # Lifecycle: one call to the host each.
    START = "start"
    SHUTDOWN = "shutdown"
    REBOOT = "reboot"
    RESET = "reset"
    PAUSE = "pause"
    RESUME = "resume"
    FORCE_OFF = "force-off"
    AUTOSTART = "autostart"  # on: yes | no

    # Reading the truth.
    WAIT_STATE = "wait-state"  # states, wait_s, offer (followup when the time is up)
    CHECK_AUTOSTART = "check-autostart"  # on: yes | no
    CHECK_OFF = "check-off"  # the VM must be off on a fresh reading
    VERIFY_DISK = "verify-disk"  # disk: it must be on the job's new path, live and defined
    VERIFY_GONE = "verify-gone"  # the domain must no longer be defined

    # Deleting.
    UNDEFINE = "undefine"  # nvram: yes | no
    DELETE_VOLUME = "delete-volume"  # path; refused while any domain names it

    # Migration.
    PRECHECK = "precheck"  # target, mode: fresh readings of both hosts
    CREATE_VOLUME = kept.CREATE_VOLUME  # host, pool, name, path, capacity, format, disk
    MIGRATE = "migrate"  # target, mode, copy, bandwidth_mib, uri, dest_paths
    SEND_VOLUME = "send-volume"  # target, disk, old_path, path: of a VM that is off
    COMPARE_SENT = "compare-sent"  # target, disk, old_path, path: checksums of both
    VERIFY_MIGRATION = "verify-migration"  # target: exactly one host runs it
    REMOVE_SOURCE = "remove-source"  # path, disk: the copied volume left on the source

    # Tier moves.
    BLOCK_COPY = "block-copy"  # disk, path, format
    PIVOT = "pivot"  # disk
    CLONE = "clone"  # disk, old_path, pool, name, path
    COMPARE = "compare"  # old_path, path: size and checksum
    REPOINT = "repoint"  # disk, path, format
    REMOVE_OLD = "remove-old"  # path: only when the move is verified and nobody names it

    # Taking up what an ended console left behind.
    TAKE_OVER = "take-over"  # origin (job id): its console cannot be asked whether it lives
    ADOPT = "adopt"  # origin (job id), choice and that job's facts
    FOLLOW_MIGRATION = "follow-migration"  # target
    RECOVER_MIGRATION = "recover-migration"  # as MIGRATE: post-copy goes on where it broke
    ABORT_MIGRATION = "abort-migration"  # target
    ABORT_COPY = "abort-copy"  # disk: the VM stays on its old disk
    DROP_VOLUME = "drop-volume"  # host, path: a partial copy nobody names
