"""A console of another member of the group: records an event, reads it back, and asks for a job."""

from __future__ import annotations

import sys
from pathlib import Path

from drivers.model.event import Event, EventKind
from store.api import StoreError
from store.open import open_store
from store.settings import StoreSettings
from tests.store.conftest import until
from tests.store.fleet import T0, make_job


def main(path: Path) -> None:
    """Print what became of each."""
    store = open_store(path, settings=StoreSettings(commit_s=0.05, retry_s=0.1, free_bytes=0))
    print(store.status().role, flush=True)
    store.put_events([Event(T0, EventKind.ACTION, "kvm1", "seen by a member")])
    until(lambda: bool(store.events()), "the event is recorded")
    print(f"{len(store.events())} event, {len(store.jobs())} job", flush=True)
    for beside in (None, ()):
        try:
            store.put_job(make_job("theirs", T0), beside)
            print("written", flush=True)
        except StoreError as error:
            print(f"{error.problem.code}: {error}", flush=True)
    store.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
