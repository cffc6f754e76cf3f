"""One of a few values, shown with its name; pressing goes on to the next."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Self

from textual.content import Content
from textual.message import Message
from textual.widgets import Button


class Cycle(Button):
    """A choice that takes one line and reads the same in ASCII and without colour.

    Args:
        name: What is chosen, such as ``Driven by``.
        values: (value, words) in the order they come; the first is the default.
    """

    DEFAULT_CSS = """
    Cycle, Cycle:hover, Cycle.-active {
        height: 1; min-width: 10; border: none; padding: 0; margin-right: 2;
        background: $panel; color: $foreground; text-style: none;
    }
    Cycle:focus { background: $primary 30%; border: none; text-style: bold; }
    Cycle:nocolor:focus { text-style: bold reverse; }
    """

    class Changed(Message):
        """Another value is chosen in ``cycle``."""

        def __init__(self, cycle: Cycle) -> None:
            super().__init__()
            self.cycle = cycle

    def __init__(self, name: str, values: Sequence[tuple[str, str]], *, id: str) -> None:  # noqa: A002
        self._of = name
        self._values = tuple(values)
        self._at = 0
        super().__init__(self._words(), id=id, compact=True)
        self.styles.width = 2 + max(len(f"{name}: {words}") for _, words in self._values)

    @property
    def value(self) -> str:
        """What is chosen now."""
        return self._values[self._at][0]

    def choose(self, value: str) -> None:
        """Show a value; the first where it has no such."""
        places = [at for at, (own, _) in enumerate(self._values) if own == value]
        self._at = places[0] if places else 0
        self.label = self._words()

    def press(self) -> Self:
        """The next value, at once however fast the keys come."""
        self._at = (self._at + 1) % len(self._values)
        self.label = self._words()
        self.post_message(self.Changed(self))
        return self

    def _words(self) -> Content:
        return Content(f"{self._of}: ") + Content.styled(self._values[self._at][1], "bold")
