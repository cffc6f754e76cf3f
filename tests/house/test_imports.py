"""The arrows of the house: light imports stay light."""

import subprocess
import sys

import pytest


@pytest.mark.parametrize("heavy", ["textual", "libvirt"])
def test_light_rooms_do_not_load_heavy_libraries(heavy: str) -> None:
    """Help, history and headless verbs start without the interface and without libvirt."""
    code = (
        "import drivers, store, console.policy, console.cli, sys;"
        f"sys.exit({heavy!r} in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True)
    assert done.returncode == 0, done.stderr.decode()
