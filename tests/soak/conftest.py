"""What the long tests share with those of every run."""

from __future__ import annotations

from tests.lab.conftest import mended

__all__ = ["mended"]
