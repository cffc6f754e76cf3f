"""A terminal driver whose window changes again just after it was measured."""

from __future__ import annotations

import fcntl
import struct
import termios

from textual.drivers.linux_driver import LinuxDriver

FROM, TO = (200, 1), (100, 30)
"""A window of the first size, in columns and rows, becomes one of the second."""


class OvertakenDriver(LinuxDriver):
    """The worst moment of a fast change: a size was read and is not told yet."""

    def _get_terminal_size(self) -> tuple[int, int]:
        size = super()._get_terminal_size()
        if size == FROM:
            columns, rows = TO
            packed = struct.pack("HHHH", rows, columns, 0, 0)
            fcntl.ioctl(self.fileno, termios.TIOCSWINSZ, packed)  # SIGWINCH interrupts here
        return size
