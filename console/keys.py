"""Remapped keys: what the configuration says, checked against the bindings there are."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from textual.app import App
from textual.binding import Binding
from textual.dom import DOMNode
from textual.keys import Keys as KeyNames

from console.views import all_screens
from drivers.model.problem import Problem
from screens.prompt import PromptLine
from screens.table import LineTable

_CONTROL = ("ctrl+c",)
"""Keys that always leave, whatever else is bound."""

_NAMES = frozenset(str(key.value) for key in KeyNames)

Scope = tuple[str, Mapping[str, frozenset[str]]]
"""What is in reach at once, such as ``vms``, and its binding ids with their keys."""


@dataclass(frozen=True, slots=True)
class Keys:
    """A keymap that can be used, and what was wrong with what was asked."""

    keymap: Mapping[str, str] = field(default_factory=dict)
    problems: tuple[Problem, ...] = ()


def use_keys(app: App[Any], wanted: Mapping[str, str]) -> tuple[Problem, ...]:
    """Give the App the remappings that make sense; returns what was wrong with the others."""
    if not wanted:
        return ()
    keys = check_keys(wanted, scopes_of(type(app)))
    app.set_keymap(dict(keys.keymap))
    return keys.problems


def scopes_of(app: type[App[Any]]) -> tuple[Scope, ...]:
    """Each screen together with lists and App, the typed line, and dialogs, which stand alone."""
    from screens.dialogs.dialog import Dialog  # after the first paint

    everywhere = {**bindings_of(app), **bindings_of(LineTable)}
    screens = []
    for screen in all_screens():
        place = screen.heading.lower()
        screens.append((place, {**everywhere, **bindings_of(screen), **_letters(place)}))
    alone = (("line", bindings_of(PromptLine)), ("dialog", bindings_of(Dialog)))
    return (*screens, *alone)


def _letters(place: str) -> dict[str, frozenset[str]]:
    """The capital letters that sort the lists of a screen: a list takes them before any binding."""
    from screens.render.hosts import host_columns  # after the first paint
    from screens.render.vms import vm_columns
    from screens.render_event import event_columns
    from screens.render_job import job_columns
    from screens.render_storage import pool_columns, volume_columns

    lists = {
        "fleet": (host_columns, vm_columns, job_columns, event_columns),
        "hosts": (host_columns,),
        "host": (vm_columns,),
        "vms": (vm_columns,),
        "storage": (pool_columns, volume_columns),
        "jobs": (job_columns,),
        "events": (event_columns,),
    }
    columns = (column for make in lists.get(place, ()) for column in make())
    return {f"sort by {c.title}": frozenset({c.letter}) for c in columns if c.letter}


def bindings_of(owner: type[DOMNode]) -> dict[str, frozenset[str]]:
    """Binding ids of a screen, widget or app class to their keys, its bases included."""
    found: dict[str, frozenset[str]] = {}
    for base in owner.__mro__:
        for entry in vars(base).get("BINDINGS", ()):
            for binding in Binding.make_bindings([entry]):
                if binding.id:
                    found[binding.id] = found.get(binding.id, frozenset()) | {binding.key}
    return found


def check_keys(wanted: Mapping[str, str], scopes: Iterable[Scope]) -> Keys:
    """Take the remappings that make sense; what does not is said with the binding ids.

    Two ids clash when they are in reach on one screen and would share a key that they do not
    share as shipped. Of two clashing remappings the first stays.
    """
    scopes = tuple(scopes)
    known = {ident for _, bindings in scopes for ident in bindings if " " not in ident}
    taken: dict[str, frozenset[str]] = {}
    problems: list[Problem] = []
    for ident, text in wanted.items():
        keys = _keys_of(text)
        if wrong := _wrong(ident, text, keys, known):
            problems.append(wrong)
        else:
            taken[ident] = keys
    while clash := _first_clash(taken, scopes):
        ident, problem = clash
        del taken[ident]
        problems.append(problem)
    keymap = {ident: ",".join(sorted(keys)) for ident, keys in taken.items()}
    return Keys(keymap, tuple(problems))


def _keys_of(text: str) -> frozenset[str]:
    """Keys as Textual calls them: ``?`` is ``question_mark``."""
    names = [name.strip() for name in text.split(",") if name.strip()]
    return frozenset(b.key for name in names for b in Binding.make_bindings([Binding(name, "")]))


def _wrong(ident: str, text: str, keys: frozenset[str], known: set[str]) -> Problem | None:
    if ident not in known:
        room = ident.partition(".")[0]
        near = sorted(name for name in known if name.startswith(f"{room}."))
        fix = f"use one of {', '.join(near)}" if near else "see the ids in the help (?)"
        return Problem(f"There is no key binding {ident!r}.", fix=fix, code="keys")
    if not keys or keys.intersection(_CONTROL):
        what = f"Key {text!r} cannot be given to {ident}."
        return Problem(what, fix="choose another", code="keys")
    if strange := sorted(key for key in keys if not _exists(key)):
        what = f"There is no key {strange[0]!r}, asked for {ident}."
        return Problem(what, fix="write it as x, X, f5, ctrl+x or question_mark", code="keys")
    return None


def _exists(key: str) -> bool:
    *held, name = key.split("+") if len(key) > 1 else [key]
    if not set(held) <= {"ctrl", "shift", "alt"}:
        return False
    if name in _NAMES or len(name) == 1:
        return True
    try:
        unicodedata.lookup(name.replace("_", " "))
    except KeyError:
        return False
    return True


def _first_clash(
    taken: dict[str, frozenset[str]], scopes: tuple[Scope, ...]
) -> tuple[str, Problem] | None:
    """The last of the remappings that clash, and why."""
    for ident in reversed(taken):
        for place, bindings in scopes:
            if ident not in bindings:
                continue
            for other, shipped in bindings.items():
                both = taken[ident] & taken.get(other, shipped)
                both -= bindings[ident] & shipped
                if other != ident and both:
                    return ident, _clash(ident, other, min(both), place)
    return None


def _clash(ident: str, other: str, key: str, place: str) -> Problem:
    return Problem(
        f"Key {key!r} of {ident} is that of {other} on the same screen.",
        proof=f"both are in reach on {place}",
        fix=f"choose another key, or give {other} another one",
        code="keys",
    )
