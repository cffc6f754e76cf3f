"""Remapped keys: what the configuration says, checked against the bindings there are."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from textual.app import App
from textual.binding import Binding
from textual.dom import DOMNode

from console.views import all_screens
from drivers.model.problem import Problem
from screens.table import LineTable

_CONTROL = ("ctrl+c",)
"""Keys that always leave, whatever else is bound."""


@dataclass(frozen=True, slots=True)
class Keys:
    """A keymap that can be used, and what was wrong with what was asked."""

    keymap: Mapping[str, str] = field(default_factory=dict)
    problems: tuple[Problem, ...] = ()


def bindings_of(owner: type[DOMNode]) -> dict[str, set[str]]:
    """Binding ids of a screen, widget or app class to their keys, its bases included."""
    found: dict[str, set[str]] = {}
    for base in owner.__mro__:
        for entry in vars(base).get("BINDINGS", ()):
            for binding in Binding.make_bindings([entry]):
                if binding.id:
                    found.setdefault(binding.id, set()).add(binding.key)
    return found


def use_keys(app: App[Any], wanted: Mapping[str, str]) -> tuple[Problem, ...]:
    """Give the App the remappings that make sense; returns what was wrong with the others."""
    if not wanted:
        return ()
    keys = check_keys(wanted, (type(app), LineTable, *all_screens()))
    app.set_keymap(dict(keys.keymap))
    return keys.problems


def check_keys(wanted: Mapping[str, str], owners: Iterable[type[DOMNode]]) -> Keys:
    """Take the remappings that make sense; unknown ids and clashes are said, not swallowed.

    Two ids clash when one screen has both and they would share a key.
    """
    scopes = [bindings_of(owner) for owner in owners]
    known = {ident for scope in scopes for ident in scope}
    keymap: dict[str, str] = {}
    problems: list[Problem] = []
    for ident, text in wanted.items():
        keys = [key.strip() for key in text.split(",") if key.strip()]
        if ident not in known:
            problems.append(_unknown(ident, known))
        elif not keys or any(key in _CONTROL for key in keys):
            problems.append(
                Problem(
                    f"Key {text!r} cannot be given to {ident}.", fix="choose another", code="keys"
                )
            )
        elif clash := _clash(ident, keys, scopes, keymap):
            problems.append(clash)
        else:
            keymap[ident] = ",".join(keys)
    return Keys(keymap, tuple(problems))


def _unknown(ident: str, known: Iterable[str]) -> Problem:
    room = ident.partition(".")[0]
    near = sorted(name for name in known if name.startswith(f"{room}."))
    fix = f"use one of {', '.join(near)}" if near else "see the ids in the help (?)"
    return Problem(f"There is no key binding {ident!r}.", fix=fix, code="keys")


def _clash(
    ident: str, keys: list[str], scopes: list[dict[str, set[str]]], keymap: Mapping[str, str]
) -> Problem | None:
    for scope in scopes:
        if ident not in scope:
            continue
        for other, default in scope.items():
            taken = set(keymap[other].split(",")) if other in keymap else default
            if other != ident and (both := taken.intersection(keys)):
                return Problem(
                    f"Key {min(both)!r} of {ident} is that of {other} on the same screen.",
                    fix=f"choose another key, or give {other} one first",
                    code="keys",
                )
    return None
