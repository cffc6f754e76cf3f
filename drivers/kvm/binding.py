"""libvirt's Python binding, loaded on first use, with its event loop running before any open.

libvirt's event implementation and error handler belong to the process, not to a connection: this
is the one place that sets them, once.
"""

from __future__ import annotations

import atexit
import os
import threading
from typing import Any

from drivers.errors import Unsupported
from drivers.kvm.graves import Graves

_FIX = (
    "install python3-dev, libvirt-dev, pkg-config and gcc, then, in the clone and with the pip of "
    "the environment that runs this: pip install '.[kvm]' (the simulated fleet runs without)"
)


class _Binding:
    """Holds the loaded module: the import and the event loop happen once a process."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._module: Any = None

    def load(self) -> Any:
        with self._lock:
            if self._module is None:
                self._module = self._start()
            return self._module

    def _start(self) -> Any:
        try:
            import libvirt
        except ImportError as absent:
            raise Unsupported("libvirt-python is not installed", str(absent), _FIX) from None
        # A dead forwarded session socket must never start a daemon on this machine.
        os.environ["LIBVIRT_AUTOSTART"] = "0"
        # Without a handler libvirt prints every error over the user's terminal.
        libvirt.registerErrorHandler(_silent, None)
        # Before the first open, or events and keepalive are silently off (remote_driver.c).
        libvirt.virEventRegisterDefaultImpl()
        Graves().dig(libvirt)
        threading.Thread(target=_spin, args=(libvirt,), name="libvirt-events", daemon=True).start()
        atexit.register(_let_be, libvirt)
        return libvirt


def _silent(_context: object, _error: object) -> None:
    """Take an error that libvirt would print; the call that met it raises it anyway."""


def _spin(libvirt: Any) -> None:
    while True:
        libvirt.virEventRunDefaultImpl()


def _let_be(libvirt: Any) -> None:
    """Let the interpreter end without closing what could not be closed in time.

    The last collection would close it, and wait for ever: nothing forwards its socket any more.
    """
    kinds: list[Any] = [kind for kind in vars(libvirt).values() if isinstance(kind, type)]
    for kind in kinds:
        if "__del__" in vars(kind):
            del kind.__del__


load = _Binding().load
