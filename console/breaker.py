"""When to try an unreachable host again: exponential back-off with jitter and a circuit breaker.

Pure values: the caller brings the clock and the random number.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum


@dataclass(frozen=True, slots=True)
class BackoffPolicy:
    """How long to wait.

    Attributes:
        base_s: Seconds after the first failure; doubles with each further one.
        cap_s: Longest wait in seconds while the circuit is closed.
        jitter: Share of the wait that is random, so that a fleet does not return in one herd.
        open_after: Failures in a row that open the circuit.
        open_s: Seconds between trials while it is open.
    """

    base_s: float = 1.0
    cap_s: float = 30.0
    jitter: float = 0.3
    open_after: int = 6
    open_s: float = 60.0


class Circuit(StrEnum):
    """Where a breaker stands.

    HELD: nothing is tried until somebody asks for it (a refused host key, a wrong password).
    """

    CLOSED = "closed"
    OPEN = "open"
    HELD = "held"


DEFAULT_POLICY = BackoffPolicy()


@dataclass(frozen=True, slots=True)
class Breaker:
    """Failures in a row to one host, and when the next attempt is due.

    Attributes:
        failures: Failed attempts in a row.
        wait_s: Seconds to wait before the next attempt; None when only a person may start one.
    """

    failures: int = 0
    wait_s: float | None = 0.0
    policy: BackoffPolicy = DEFAULT_POLICY

    @property
    def circuit(self) -> Circuit:
        """Closed while attempts follow the back-off, open once they have become rare trials."""
        if self.wait_s is None:
            return Circuit.HELD
        return Circuit.OPEN if self.failures >= self.policy.open_after else Circuit.CLOSED

    def failed(self, chance: float) -> Breaker:
        """After one more failed attempt; ``chance`` is a random number from 0 to 1."""
        failures = self.failures + 1
        policy = self.policy
        if failures >= policy.open_after:
            wait = policy.open_s
        else:
            wait = min(policy.cap_s, policy.base_s * 2.0 ** (failures - 1))
        return replace(self, failures=failures, wait_s=wait * (1.0 - policy.jitter * chance))

    def rarely(self, chance: float) -> Breaker:
        """After a failure that may mend itself, but where attempts in a row would do harm."""
        failures = max(self.failures + 1, self.policy.open_after)
        wait = self.policy.open_s * (1.0 - self.policy.jitter * chance)
        return replace(self, failures=failures, wait_s=wait)

    def held(self) -> Breaker:
        """After a failure that trying again cannot mend."""
        return replace(self, failures=self.failures + 1, wait_s=None)

    def reset(self) -> Breaker:
        """After a success, or when somebody asks for an attempt now."""
        return replace(self, failures=0, wait_s=0.0)
