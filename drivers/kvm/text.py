"""What hosts say is data: cleaned before anybody sees it, parsed without ever raising."""

from __future__ import annotations

import unicodedata
import xml.etree.ElementTree as ET

# Bidirectional overrides and separators can reorder or break a line as control characters do.
_TROUBLE = {chr(code) for code in (*range(0x202A, 0x202F), *range(0x2066, 0x206A), 0x2028, 0x2029)}


def clean(text: str | None) -> str:
    """``text`` without control characters, bidirectional overrides and lone surrogates."""
    if not text:
        return ""
    if text.isascii() and text.isprintable():
        return text
    return "".join(
        letter
        for letter in text
        if letter not in _TROUBLE and unicodedata.category(letter) not in ("Cc", "Cs")
    )


def parse_xml(text: str) -> ET.Element | None:
    """The root element, or None where ``text`` is no plain XML document.

    libvirt writes no DTD; a document that brings one could expand without bound and is not read.
    """
    if "<!DOCTYPE" in text or "<!ENTITY" in text:
        return None
    try:
        return ET.fromstring(text)  # noqa: S314 - a DTD was ruled out above
    except (ET.ParseError, ValueError):
        return None


def whole(text: str | None, default: int = 0) -> int:
    """``text`` as an integer, ``default`` where it is none."""
    try:
        return int((text or "").strip())
    except ValueError:
        return default
