"""What went wrong, said so that a tired person can act on it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Problem:
    """One failure or refusal.

    Attributes:
        what: One sentence: what happened.
        proof: The words or numbers that show it (a server's own text, two compared values).
        fix: What the reader can do now; empty when nothing is known to help.
        code: Stable machine-readable name, such as ``unreachable`` or ``host-key-changed``.
    """

    what: str
    proof: str = ""
    fix: str = ""
    code: str = "error"

    def __str__(self) -> str:
        parts = [self.what]
        if self.proof:
            parts.append(f"({self.proof})")
        if self.fix:
            parts.append(f"Fix: {self.fix}")
        return " ".join(parts)


@dataclass(frozen=True, slots=True)
class Missing:
    """A group of readings that cannot be had here, and why.

    Attributes:
        name: The group, such as ``psi`` or ``vm.cpu``.
        reason: Why it is missing, for example ``kernel built without PSI``.
        fix: What would make it available; empty when nothing would.
    """

    name: str
    reason: str
    fix: str = ""
