"""The size of the terminal as it is when a change of it is dealt with."""

from __future__ import annotations

import shutil

from textual import events
from textual.geometry import Size

from console.plain import PlainApp


class SizedApp(PlainApp):
    """An App that ends up with the size its terminal ends up with, however fast that changes.

    Textual reads the size in a signal handler and posts it. The signal of the next change may
    interrupt that handler in between: then the older size is posted last, and the whole interface
    would stay laid out for a window that is gone.
    """

    def on_resize(self, event: events.Resize) -> None:
        """Take the size of now, before Textual's own handler: the change after it comes later.

        A size that the terminal itself wrote, told by its pixels, came in order with the keys.
        """
        if event.pixel_size is None and not self.is_headless:
            size = Size(*shutil.get_terminal_size())
            event.size = event.virtual_size = event.container_size = size
