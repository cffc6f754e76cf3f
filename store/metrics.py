"""How figures become the integer codes of the fact tables, and back: SQL snippets."""

from __future__ import annotations

from dataclasses import dataclass

from drivers.model.history import HOST_METRICS, VM_METRICS

_SHARES = frozenset({"cpu", "steal", "delay", "iowait", "psi_cpu", "psi_memory", "psi_io"})
_PER_UNIT = {"read_iops": 10, "write_iops": 10, "read_ms": 100, "write_ms": 100, "rtt_ms": 100}
_BYTES = frozenset({"mem_used", "rss", "swap_used"})


def encode(column: str, metric: str) -> str:
    """SQL of a metric's code from a figure; NULL for what is no figure (NaN, negative)."""
    if metric in _SHARES:
        code = f"CAST(least(round({column} * 10), 32767) AS SMALLINT)"
    elif metric in _BYTES:
        code = f"CAST(least(round({column} / 262144.0), 2147483647) AS INTEGER)"
    elif metric == "load1":
        code = f"CAST(least(round({column} * 100), 2147483647) AS INTEGER)"
    else:
        code = f"CAST(round(ln(1 + {column} * {_PER_UNIT.get(metric, 1)}) * 50) AS SMALLINT)"
    return f"CASE WHEN isfinite({column}) AND {column} >= 0 THEN {code} END"


def decode(column: str, metric: str) -> str:
    """SQL of the figure behind a code."""
    if metric in _SHARES:
        return f"({column} / 10.0)"
    if metric in _BYTES:
        return f"({column} * 262144::DOUBLE)"
    if metric == "load1":
        return f"({column} / 100.0)"
    return f"((exp({column} / 50.0) - 1) / {_PER_UNIT.get(metric, 1)}.0)"


@dataclass(frozen=True, slots=True)
class Subject:
    """What figures belong to: ``vm`` or ``host``, with its metrics in column order."""

    kind: str
    metrics: tuple[str, ...]

    @property
    def raw(self) -> str:
        """SQL of all samples as recorded, sorted blocks and the newest together."""
        return f"(SELECT * FROM rec.{self.kind}_hist UNION ALL SELECT * FROM rec.{self.kind}_live)"


VM = Subject("vm", VM_METRICS)
HOST = Subject("host", HOST_METRICS)
SUBJECTS = (VM, HOST)
