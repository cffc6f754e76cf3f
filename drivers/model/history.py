"""What is asked of recorded history and what comes back."""

from __future__ import annotations

from dataclasses import dataclass

VM_METRICS: tuple[str, ...] = (
    "cpu",  # percent of the allotted vCPUs
    "steal",  # percent
    "delay",  # percent
    "mem_used",  # bytes
    "rss",  # bytes
    "read_bps",
    "write_bps",
    "read_iops",
    "write_iops",
    "read_ms",
    "write_ms",
    "rx_bps",
    "tx_bps",
)
HOST_METRICS: tuple[str, ...] = (
    "cpu",
    "iowait",
    "steal",
    "load1",
    "psi_cpu",
    "psi_memory",
    "psi_io",
    "mem_used",
    "swap_used",
    "read_bps",
    "write_bps",
    "rx_bps",
    "tx_bps",
    "rtt_ms",
)


@dataclass(frozen=True, slots=True)
class HistoryQuery:
    """One metric of one host or VM over a range.

    Attributes:
        kind: ``vm`` or ``host``.
        ident: VM UUID or name, or host name.
        metric: A name of VM_METRICS or HOST_METRICS.
        since: Start, epoch seconds.
        until: End, epoch seconds.
        points: At most so many points come back; each is a mean over its bucket.
    """

    kind: str
    ident: str
    metric: str
    since: float
    until: float
    points: int = 200


@dataclass(frozen=True, slots=True)
class Series:
    """The answer: bucket starts (epoch seconds), means, and maxima, equally long.

    A bucket without samples is absent: gaps are gaps, not zeros. ``step_s`` is the bucket width,
    ``source`` the table resolution that answered: ``raw``, ``1m`` or ``1h``.
    """

    query: HistoryQuery
    label: str
    times: tuple[float, ...] = ()
    means: tuple[float, ...] = ()
    maxima: tuple[float, ...] = ()
    step_s: float = 0.0
    source: str = "raw"


@dataclass(frozen=True, slots=True)
class Table:
    """Rows of a read-only SQL query; ``truncated`` when the row limit cut it."""

    columns: tuple[str, ...]
    rows: tuple[tuple[object, ...], ...]
    truncated: bool = False


@dataclass(frozen=True, slots=True)
class StoreStatus:
    """How recording stands.

    Attributes:
        role: ``writer`` (this process holds the file), ``reader`` (another one does, reached over
            its socket), ``off`` (history is not recorded, ``paused`` says why).
        writer_pid: Process that writes now.
        paused: Why recording is paused, empty when it is not (such as ``disk full``).
        warning: Something the user must know (a damaged log set aside), empty otherwise.
        size: Bytes of the database file.
        pending: Samples in memory not yet committed.
        dropped: Samples lost because the memory buffer was full.
        read_only: The history is another user's: it takes samples, and no jobs.
    """

    role: str
    path: str = ""
    writer_pid: int | None = None
    paused: str = ""
    warning: str = ""
    size: int = 0
    pending: int = 0
    dropped: int = 0
    read_only: bool = False
