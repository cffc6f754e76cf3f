"""Text that came from a server or a file: made harmless before a person sees it."""

from __future__ import annotations


def clean(text: str, limit: int = 2000) -> str:
    """``text`` without control characters (line breaks stay), at most ``limit`` characters."""
    kept = (c if c == "\n" or c.isprintable() else " " for c in text.replace("\r\n", "\n"))
    return "".join(kept).strip()[:limit]


def one_line(text: str, limit: int = 300) -> str:
    """``clean`` text folded into one line."""
    return " ".join(clean(text, limit).split())


def address(host: str, port: int) -> str:
    """``host:port`` for people, IPv6 in brackets."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
