"""Changes to domain XML that keep everything else as libvirt wrote it, prefixes included."""

from __future__ import annotations

import xml.dom.minidom
from collections.abc import Mapping
from xml.parsers.expat import ExpatError
from xml.sax.saxutils import quoteattr

from drivers.errors import Failed


def repoint(text: str, paths: Mapping[str, tuple[str, str]]) -> str:
    """``text`` with the disks of ``paths`` pointing elsewhere.

    Args:
        text: Domain XML from libvirt.
        paths: Disk target to (new path, new format; empty keeps the format).

    Raises:
        Failed: The XML is unreadable, or it has no such disk.
    """
    if "<!DOCTYPE" in text or "<!ENTITY" in text:
        raise Failed("the domain's XML brings a document type and was not read")
    try:
        document = xml.dom.minidom.parseString(text)  # noqa: S318 - a DTD was ruled out above
    except ExpatError as error:
        raise Failed("the domain's XML could not be read", str(error)) from None
    left = dict(paths)
    for disk in document.getElementsByTagName("disk"):
        target = _child(disk, "target")
        if target is None or target.getAttribute("dev") not in left:
            continue
        path, fmt = left.pop(target.getAttribute("dev"))
        _move(document, disk, path, fmt)
    if left:
        raise Failed(f"the domain has no disk {', '.join(sorted(left))}")
    root = document.documentElement
    return "" if root is None else str(root.toxml())


def _move(
    document: xml.dom.minidom.Document, disk: xml.dom.minidom.Element, path: str, fmt: str
) -> None:
    block = path.startswith("/dev/")
    disk.setAttribute("type", "block" if block else "file")
    for name in ("source", "backingStore", "mirror"):
        old = _child(disk, name)
        if old is not None:
            disk.removeChild(old)
    source = document.createElement("source")
    source.setAttribute("dev" if block else "file", path)
    disk.insertBefore(source, _child(disk, "target"))
    driver = _child(disk, "driver")
    if fmt:
        if driver is None:
            driver = document.createElement("driver")
            driver.setAttribute("name", "qemu")
            disk.insertBefore(driver, source)
        driver.setAttribute("type", fmt)


def _child(parent: xml.dom.minidom.Element, name: str) -> xml.dom.minidom.Element | None:
    for node in parent.childNodes:
        if isinstance(node, xml.dom.minidom.Element) and node.tagName == name:
            return node
    return None


def copy_target(path: str, fmt: str) -> str:
    """``<disk>`` XML for virDomainBlockCopy's destination."""
    kind, key = ("block", "dev") if path.startswith("/dev/") else ("file", "file")
    driver = f"<driver name='qemu' type={quoteattr(fmt)}/>" if fmt else ""
    return f"<disk type='{kind}'><source {key}={quoteattr(path)}/>{driver}</disk>"
