"""What time it is for the question of what is too old to keep.

A wall clock may jump: somebody sets it, a time server corrects it, a paused virtual machine wakes
up. Old is therefore judged by time that has really passed: the wall clock is compared with the
machine's own count since boot, which goes on while a laptop sleeps. When both disagree, the count
is believed, so that nothing goes before its time, until the wall clock agrees again or has run
steadily for a day.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

import duckdb

from store.settings import DAY, HOUR, StoreSettings

_SLACK_S = HOUR  # deleting goes by the hour: a smaller jump deletes no more than usual
_START_S = 600.0  # a time server has set the clock so long after boot
_TRUSTED, _UNTIL, _BOOT = "trusted", "doubted-until", "boot "


@dataclass(frozen=True, slots=True)
class _Doubt:
    """A jump that is not believed yet: seconds ahead of what passed, and until which wall time."""

    ahead: float
    until: float
    told: bool = True


class KeepingClock:
    """Time by which retention is judged.

    Args:
        settings: The wall clock, the count since boot, and which boot that is.
    """

    def __init__(self, settings: StoreSettings) -> None:
        self._settings = settings
        self._boot = settings.boot()
        self._trusted = settings.clock()
        self._counted = settings.ticks()
        self._doubt: _Doubt | None = None

    @property
    def warning(self) -> str:
        """What a person must know of the clock; empty when it is believed."""
        doubt = self._doubt
        if doubt is None or not doubt.told:
            return ""
        day = time.strftime("%Y-%m-%d %H:%M %Z", time.localtime(doubt.until))
        way = "forward" if doubt.ahead > 0 else "back"
        return (
            f"the clock jumped {_span(abs(doubt.ahead))} {way}: history is kept by its old time"
            f" until it is set right, or until {day}"
        )

    def load(self, cursor: duckdb.DuckDBPyConnection) -> None:
        """Go on from what the file tells of the time before this process."""
        rows = cursor.execute("SELECT name, max(ts) FROM rec.mark GROUP BY name").fetchall()
        kept = {str(name): float(at) for name, at in rows}
        wall, self._counted = self._settings.clock(), self._settings.ticks()
        since_boot = kept.get(_BOOT + self._boot) if self._boot else None
        if since_boot is not None:
            self._trusted = since_boot + self._counted
        else:
            self._trusted = kept.get(_TRUSTED, kept.get("packed", wall))
        ahead, until = wall - self._trusted, kept.get(_UNTIL, 0.0)
        self._doubt = None
        if until - DAY <= wall < until:
            self._doubt = _Doubt(ahead, until)
        elif since_boot is None:  # long off, or the clock is not set yet
            self._doubt = _Doubt(ahead, wall + _START_S, told=False)

    def now(self) -> float:
        """Seconds since the epoch that ages are counted from; never ahead of the wall clock."""
        wall, counted = self._settings.clock(), self._settings.ticks()
        expected = self._trusted + counted - self._counted
        self._counted = counted
        ahead, doubt = wall - expected, self._doubt
        if doubt is not None and abs(ahead - doubt.ahead) > _SLACK_S:
            doubt = None
        if abs(ahead) <= _SLACK_S or (doubt is not None and wall >= doubt.until):
            self._trusted, self._doubt = wall, None
        else:
            self._trusted, self._doubt = expected, doubt or _Doubt(ahead, wall + DAY)
        return min(wall, self._trusted)

    def save(self, cursor: duckdb.DuckDBPyConnection) -> None:
        """Write down what ``load`` needs, within the caller's transaction."""
        cursor.execute("DELETE FROM rec.mark WHERE name <> 'packed'")
        rows = {_TRUSTED: self._trusted, _BOOT + self._boot: self._trusted - self._counted}
        if self._doubt is not None and self._doubt.told:
            rows[_UNTIL] = self._doubt.until
        for name, at in rows.items():
            cursor.execute("INSERT INTO rec.mark VALUES (?, ?)", [name, max(0, int(at))])


def _span(seconds: float) -> str:
    return f"{seconds / HOUR:.0f} h" if seconds < 2 * DAY else f"{seconds / DAY:.0f} d"
