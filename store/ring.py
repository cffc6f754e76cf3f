"""The memory buffer between whoever measures and whoever writes."""

from __future__ import annotations

import threading
from collections import deque
from dataclasses import dataclass, field

from drivers.model.event import Event
from store.sample import HostBatch

_EVENTS = 20_000  # events are small and few; a storm beyond this loses its oldest


@dataclass(slots=True)
class Load:
    """What was taken from the ring to be written together; sources are parallel to values."""

    batches: list[tuple[str, HostBatch]] = field(default_factory=list)
    events: list[tuple[str, Event]] = field(default_factory=list)

    @property
    def samples(self) -> int:
        """Samples in the batches."""
        return sum(batch.samples for _, batch in self.batches)

    def __bool__(self) -> bool:
        return bool(self.batches or self.events)


class Ring:
    """Bounded queue of samples and events; the oldest are dropped and counted when it is full.

    Args:
        limit: Samples kept at most.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._lock = threading.Lock()
        self._batches: deque[tuple[str, HostBatch]] = deque()
        self._events: deque[tuple[str, Event]] = deque(maxlen=_EVENTS)
        self.pending = 0
        self.dropped = 0

    def put(self, source: str, batches: list[HostBatch]) -> None:
        """Add samples that ``source`` measured."""
        with self._lock:
            for batch in batches:
                self._batches.append((source, batch))
                self.pending += batch.samples
            self._trim()

    def put_events(self, source: str, events: list[Event]) -> None:
        """Add events that ``source`` saw."""
        with self._lock:
            self._events.extend((source, event) for event in events)

    def take(self, samples: int = 50_000) -> Load:
        """Remove and return the oldest samples, about so many, and all events."""
        load = Load()
        with self._lock:
            taken = 0
            while self._batches and taken < samples:
                entry = self._batches.popleft()
                taken += entry[1].samples
                load.batches.append(entry)
            self.pending -= taken
            load.events = list(self._events)
            self._events.clear()
        return load

    def give_back(self, load: Load) -> None:
        """Put back what could not be written, as the oldest."""
        with self._lock:
            self._batches.extendleft(reversed(load.batches))
            self.pending += load.samples
            room = _EVENTS - len(self._events)
            self._events.extendleft(reversed(load.events[-room:] if room else []))
            self._trim()

    def __bool__(self) -> bool:
        return bool(self._batches or self._events)

    def _trim(self) -> None:
        while self.pending > self._limit and self._batches:
            lost = self._batches.popleft()[1].samples
            self.pending -= lost
            self.dropped += lost
