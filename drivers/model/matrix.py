"""The pre-flight matrix: VMs down, hosts across, one verdict each with all its checks."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from drivers.model.job import Check, TargetFit, Verdict

WORST_FIRST = (Verdict.BLOCKED, Verdict.WARN, Verdict.NOT_TESTED, Verdict.OK)
"""What could not be tested is no ok: it outranks every check that passed."""


def worst(checks: Iterable[Check]) -> Verdict:
    """The verdict that stands for all of them; OK where there is none."""
    return min((check.verdict for check in checks), key=WORST_FIRST.index, default=Verdict.OK)


@dataclass(frozen=True, slots=True)
class Cell:
    """One VM against one host; ``fit`` is None where the VM is there already."""

    target: str
    verdict: Verdict
    fit: TargetFit | None

    @property
    def here(self) -> bool:
        """True where the VM is on this host already."""
        return self.fit is None


@dataclass(frozen=True, slots=True)
class Row:
    """One VM: its identity, its host, and a cell a target in the matrix's order."""

    uuid: str
    vm: str
    host: str
    cells: tuple[Cell, ...]


@dataclass(frozen=True, slots=True)
class Matrix:
    """All cells as of one moment on the console's clock."""

    at: float = 0.0
    targets: tuple[str, ...] = ()
    rows: tuple[Row, ...] = ()

    def cell(self, uuid: str, target: str) -> Cell | None:
        """The cell of a VM and a host; None where the matrix has none."""
        row = next((row for row in self.rows if row.uuid == uuid), None)
        return next((c for c in row.cells if c.target == target), None) if row else None

    def count(self, verdict: Verdict) -> int:
        """How many cells have that verdict, a VM's own host not counted."""
        return sum(c.verdict is verdict and not c.here for row in self.rows for c in row.cells)
