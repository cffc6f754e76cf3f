"""A host for libvirt's own test driver.

Each connection to it makes a fleet of its own. ``test:///default`` is one fleet for a whole
process, and lasts for as long as anything holds on to it.
"""

from pathlib import Path

ONE_VM = f"test://{Path(__file__).with_name('default.xml')}"
"""URI of a host called ``default`` with a running VM called ``test``, a network and a pool."""
