"""NO_COLOR taken at its word where the colours are the terminal's own."""

from __future__ import annotations

from collections.abc import Sequence

from textual.app import App
from textual.filter import LineFilter, Monochrome, NoColor

NO_COLOUR = NoColor()


class PlainApp(App[None]):
    """An App that with NO_COLOR and a theme of the terminal's own colours asks for none.

    Textual would pick greys; those of a terminal's default colours are not known to it, and taken
    for black they would be black on black.
    """

    def get_line_filters(self) -> Sequence[LineFilter]:
        """What every line goes through on its way to the terminal."""
        filters = super().get_line_filters()
        if not (self.no_color and self.current_theme.ansi):
            return filters
        return [NO_COLOUR if isinstance(one, Monochrome) else one for one in filters]
