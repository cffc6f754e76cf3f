"""The table that the benchmarks print, and the arithmetic behind its verdicts."""

from __future__ import annotations

import json
import math
import os
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

LOG = "NOVACRON_BENCH_LOG"
"""Names a file to which every row is written as a line of JSON as well."""


class Kind(StrEnum):
    """How a figure is held against its aim."""

    BELOW = "<"
    ABOVE = ">"
    TIMES = "<= x"
    """At most so many times what it stands beside."""


@dataclass(frozen=True, slots=True)
class Aim:
    """What a figure should be, in its own unit or in times of what it stands beside."""

    kind: Kind
    limit: float

    def met(self, value: float, ratio: float | None) -> bool:
        """Whether a figure meets it; one without a ratio cannot meet an aim in times."""
        if self.kind is Kind.TIMES:
            return ratio is not None and ratio <= self.limit
        return value < self.limit if self.kind is Kind.BELOW else value > self.limit

    def words(self) -> str:
        """Such as ``< 20`` or ``<= 1.5 x``."""
        if self.kind is Kind.TIMES:
            return f"<= {self.limit:g} x"
        return f"{self.kind} {self.limit:,.6g}"


def below(limit: float) -> Aim:
    """Less than ``limit``."""
    return Aim(Kind.BELOW, limit)


def above(limit: float) -> Aim:
    """More than ``limit``."""
    return Aim(Kind.ABOVE, limit)


def times(limit: float) -> Aim:
    """At most ``limit`` times the floor."""
    return Aim(Kind.TIMES, limit)


@dataclass(frozen=True, slots=True)
class Beside:
    """A floor or rival, measured in the same run and unit."""

    name: str
    value: float
    ratio: float | None = None
    """The figure over this one where it was worked out from pairs; else the values' own."""

    def over(self, value: float) -> float | None:
        """How many times this one ``value`` is; None of nothing."""
        if self.ratio is not None:
            return self.ratio
        return value / self.value if self.value > 0 else None


def percentile(values: Iterable[float], share: float) -> float:
    """The value below which a share of all lies; inf without any."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else math.inf


def paired_ratio(ours: Sequence[float], theirs: Sequence[float]) -> float | None:
    """Median of the ratios of rounds measured one right after the other."""
    ratios = [a / b for a, b in zip(ours, theirs, strict=True) if b > 0]
    return statistics.median(ratios) if ratios else None


def figure(value: float) -> str:
    """Three or four digits that matter: ``0.55``, ``43.2``, ``671``, ``250,000``."""
    if not math.isfinite(value):
        return "never"
    digits = 2 if abs(value) < 10 else 1 if abs(value) < 100 else 0
    return f"{value:,.{digits}f}"


def crowd() -> str:
    """What to say of a machine that others use too; empty when they leave it alone."""
    load, cores = os.getloadavg()[0], os.cpu_count() or 1
    return f"load {load:.1f} on {cores} cores" if load > cores else ""


class Table:
    """Prints rows as they come, each beside its floor or rival and its aim."""

    def __init__(self) -> None:
        self._log = Path(os.environ[LOG]) if LOG in os.environ else None

    def note(self, text: str) -> None:
        """A line of its own: how the rows after it were measured."""
        print(f"   {text}", flush=True)

    def row(
        self,
        name: str,
        value: float,
        unit: str = "ms",
        *,
        beside: Beside | None = None,
        aim: Aim | None = None,
        reason: str = "",
    ) -> bool:
        """Print one figure; False when its aim is missed.

        Args:
            name: What was measured.
            value: The figure.
            unit: Of the figure and of what it stands beside.
            beside: Floor or rival of the same run.
            aim: None where there is none.
            reason: Why the aim is missed, where it is.
        """
        ratio = beside.over(value) if beside else None
        good = aim is None or aim.met(value, ratio)
        why = "; ".join(filter(None, (reason, crowd()))) or "no reason is known"
        verdict = "" if aim is None else "met" if good else f"missed: {why}"
        other = f"{figure(beside.value)} {unit} {beside.name}" if beside else ""
        print(
            f"{name:<50} {figure(value):>9} {unit:<4} {other:<34}"
            f" {'' if ratio is None else f'{ratio:.2f}':>6}  {aim.words() if aim else '':>9}"
            f"  {verdict}".rstrip(),
            flush=True,
        )
        self._keep(name, verdict or "-", value=value, unit=unit, beside=beside, ratio=ratio)
        return good

    def skip(self, name: str, reason: object) -> None:
        """A row that could not be measured."""
        print(f"{name:<50} not measured: {reason}", flush=True)
        self._keep(name, f"not measured: {reason}")

    def _keep(
        self,
        name: str,
        verdict: str,
        *,
        value: float | None = None,
        unit: str = "",
        beside: Beside | None = None,
        ratio: float | None = None,
    ) -> None:
        if self._log is None:
            return
        row = {"name": name, "value": value, "unit": unit, "verdict": verdict}
        if beside is not None:
            row |= {"beside": beside.name, "beside_value": beside.value, "ratio": ratio}
        with self._log.open("a", encoding="utf-8") as log:
            log.write(json.dumps(row) + "\n")


def heading() -> str:
    """The names of the columns."""
    beside = "floor or rival, same run"
    return f"{'figure':<50} {'value':>9} {'':<4} {beside:<34} {'ratio':>6}  {'aim':>9}  verdict"


def read_log(path: Path) -> list[dict[str, object]]:
    """The rows kept in a log; none where there is no file."""
    if not path.exists():
        return []
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def summary(rows: Sequence[dict[str, object]]) -> str:
    """How many rows there were, met, missed and not measured, and which were missed."""
    verdicts = [str(row["verdict"]) for row in rows]
    met = verdicts.count("met")
    missed = [row for row in rows if str(row["verdict"]).startswith("missed")]
    skipped = sum(verdict.startswith("not measured") for verdict in verdicts)
    lines = [f"  {row['name']}: {row['verdict']}" for row in missed]
    lines += [f"{len(rows)} rows: {met} met, {len(missed)} missed, {skipped} not measured"]
    return "\n".join(lines)
