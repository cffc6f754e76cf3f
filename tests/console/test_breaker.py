"""When an unreachable host is tried again."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from console.breaker import BackoffPolicy, Breaker, Circuit

POLICY = BackoffPolicy(base_s=1.0, cap_s=8.0, jitter=0.5, open_after=6, open_s=60.0)


def test_waits_double_up_to_the_cap_and_then_become_rare() -> None:
    """1, 2, 4, 8, 8 s, and once the circuit is open each minute."""
    breaker, waits = Breaker(policy=POLICY), []
    for _ in range(7):
        breaker = breaker.failed(0.0)
        waits.append(breaker.wait_s)
    assert waits == [1.0, 2.0, 4.0, 8.0, 8.0, 60.0, 60.0]
    assert breaker.circuit is Circuit.OPEN


@given(st.integers(1, 50), st.floats(0.0, 1.0))
def test_jitter_only_shortens_within_its_share(failures: int, chance: float) -> None:
    """Hosts of one site do not come back in one herd, and never later than told."""
    plain = spread = Breaker(policy=POLICY)
    for _ in range(failures):
        plain, spread = plain.failed(0.0), spread.failed(chance)
    assert plain.wait_s is not None
    assert spread.wait_s is not None
    assert plain.wait_s * 0.5 <= spread.wait_s <= plain.wait_s


def test_a_held_circuit_waits_for_a_person() -> None:
    """A refused host key is tried again only after a reset."""
    held = Breaker(policy=POLICY).held()
    assert (held.circuit, held.wait_s) == (Circuit.HELD, None)
    assert held.reset().circuit is Circuit.CLOSED
    assert held.reset().wait_s == 0.0
