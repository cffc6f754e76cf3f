"""Paragraphs with hanging indents: for plans, problems and other text that must be read in full."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from textual.content import Content
from textual.geometry import Size
from textual.reactive import reactive
from textual.widget import Widget
from textual.widgets import Static

from screens.format import clean, clean_block

GOOD = "$good"
WARN = "$care"
BAD = "bold $bad"
DIM = "$faint"
HEAD = "bold"
CODE = "$calm"


@dataclass(frozen=True, slots=True)
class Para:
    """One paragraph; lines after the first start under the text, not under the label."""

    text: Content
    label: Content = field(default_factory=Content.empty)


def say(text: str, style: str = "") -> Content:
    """Text from anywhere, made safe, in one style."""
    safe = clean(text)
    return Content.styled(safe, style) if style else Content(safe)


def para(text: str, style: str = "", *, label: str = "", label_style: str = "") -> Para:
    """A paragraph of safe text with an optional label."""
    return Para(say(text, style), say(label, label_style))


def block(text: str, style: str = "", *, label: str = "", label_style: str = DIM) -> list[Para]:
    """Text of several lines as paragraphs, the label before the first."""
    lines = clean_block(text).split("\n")
    first = para(lines[0], style, label=label, label_style=label_style)
    rest = [para(line, style, label=" " * len(label)) for line in lines[1:]]
    return [first, *rest]


BLANK = para("")


def put(static: Static, content: Content) -> None:
    """Show a line if it is another one: an equal line sends nothing to the terminal."""
    shown = static.content
    if not (isinstance(shown, Content) and shown.is_same(content)):
        static.update(content)


def wrap(paras: Iterable[Para], width: int) -> list[Content]:
    """The lines of the paragraphs at that width."""
    lines: list[Content] = []
    for item in paras:
        indent = item.label.cell_length
        room = max(8, width - indent)
        for number, line in enumerate(item.text.wrap(room) or [Content.empty()]):
            lead = item.label if number == 0 else Content(" " * indent)
            lines.append(lead + line)
    return lines


class Prose(Widget):
    """Shows paragraphs, as high as they need."""

    DEFAULT_CSS = """
    Prose { height: auto; width: 1fr; }
    """

    paras: reactive[tuple[Para, ...]] = reactive((), layout=True)
    """What is shown."""

    def __init__(self, paras: Iterable[Para] = (), *, id: str | None = None) -> None:  # noqa: A002
        super().__init__(id=id)
        self.set_reactive(Prose.paras, tuple(paras))

    def get_content_width(self, container: Size, viewport: Size) -> int:  # noqa: ARG002
        """All there is."""
        return container.width

    def get_content_height(self, container: Size, viewport: Size, width: int) -> int:  # noqa: ARG002
        """As many lines as the paragraphs take."""
        return len(wrap(self.paras, width))

    def render(self) -> Content:
        """The wrapped lines."""
        return Content("\n").join(wrap(self.paras, self.content_size.width))
