"""Keeps one picture of the whole fleet up to date: lanes, back-off and events of every host."""

from console.poller.poller import Poller

__all__ = ["Poller"]
