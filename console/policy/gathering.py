"""What is true of many VMs or hosts, said once. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from console.policy.sizes import count_words
from drivers.model.job import Check

Said = tuple[str, Check]
"""The name of a VM or host, and a check about it."""

_AND_SO_ON = " (and so on)"
"""Behind the proof or fix of one that stands for others."""


def gathered(said: Sequence[Said], noun: str = "VM") -> tuple[Check, ...]:
    """One check for each name of a check, with the number of those that it is about.

    Where all say the same but for the name, that is said of each; else the first stands for the
    others. The same holds for proof and fix.
    """
    alike: dict[str, list[Said]] = {}
    for name, check in said:
        alike.setdefault(check.name, []).append((name, check))
    return tuple(_as_one(found, noun) for found in alike.values())


def _as_one(found: Sequence[Said], noun: str) -> Check:
    name, check = found[0]
    named = check.text if check.text.startswith(f"{name} ") else f"{name}: {check.text}"
    if len(found) == 1:
        return replace(check, text=named)
    texts = {_of_each(*one) for one in found}
    told = texts.pop() if len(texts) == 1 else f"such as {named}"
    return replace(
        check,
        text=f"{count_words(len(found), noun)}: {told}",
        proof=_shared([c.proof for _, c in found]),
        fix=_shared([c.fix for _, c in found]),
    )


def _shared(texts: Sequence[str]) -> str:
    """What all say; else the first as an example."""
    one = len(set(texts)) == 1 or not texts[0]
    return texts[0] if one else f"{texts[0].removesuffix(_AND_SO_ON)}{_AND_SO_ON}"


def _of_each(name: str, check: Check) -> str:
    rest = check.text.removeprefix(f"{name} ")
    return f"each {rest}" if rest != check.text else rest
