"""All colour: themes and the semantic variables that screens name instead of colours."""

from themes.novacron import THEMES

DEFAULT_THEME = "novacron-dark"
"""Theme of a first start."""

__all__ = ["DEFAULT_THEME", "THEMES"]
