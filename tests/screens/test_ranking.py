"""Order of rows: exact for short lists, settling once a second for long ones."""

from screens.columns import Column, Order, Row
from screens.ranking import LONG, RESORT_S, Ranking

COLUMNS = (Column("name", "NAME", 8), Column("cpu", "CPU", 4, sort=lambda item: item[1]))
BY_CPU = Order("cpu")


def _rows(count: int, turn: int) -> list[Row]:
    return [Row(f"k{n}", (f"vm{n}", (n + turn) % count)) for n in range(count)]


def test_a_short_list_is_sorted_at_every_reading() -> None:
    """The busiest is on top at once."""
    ranking = Ranking(lambda: 0.0)
    for turn in (0, 1):
        ranking.arrange(_rows(10, turn), COLUMNS, BY_CPU)
        assert [row.item[1] for row in ranking.rows] == list(range(10))


def test_a_long_list_keeps_its_order_for_a_second_and_its_figures_are_new() -> None:
    """Lines do not jump several times a second, but what they say is the newest."""
    now = [0.0]
    ranking = Ranking(lambda: now[0])
    ranking.arrange(_rows(LONG, 0), COLUMNS, BY_CPU)
    ranking.arrange(_rows(LONG, 1), COLUMNS, BY_CPU)
    assert ranking.rows[0] == Row("k0", ("vm0", 1))
    now[0] = RESORT_S
    ranking.arrange(_rows(LONG, 1), COLUMNS, BY_CPU)
    assert ranking.rows[0].item[1] == 0
    assert all(ranking.rows[place].key == key for key, place in ranking.index.items())


def test_another_order_or_another_row_sorts_at_once() -> None:
    """A key press and a new VM do not wait for the second."""
    ranking = Ranking(lambda: 0.0)
    ranking.arrange(_rows(LONG, 0), COLUMNS, BY_CPU)
    ranking.arrange(_rows(LONG, 0), COLUMNS, Order("cpu", descending=True))
    assert ranking.rows[0].item[1] == LONG - 1
    ranking.arrange(_rows(LONG, 0)[1:], COLUMNS, Order("cpu", descending=True))
    assert "k0" not in ranking.index
    assert len(ranking.rows) == LONG - 1


def test_newer_rows_of_a_long_list_take_their_places() -> None:
    """Only what changed is looked at, and an unknown row asks for everything."""
    now = [0.0]
    ranking = Ranking(lambda: now[0])
    ranking.arrange(_rows(LONG, 0), COLUMNS, BY_CPU)
    assert ranking.renew([Row("k7", ("vm7", 0))], BY_CPU)
    assert ranking.rows[7].item == ("vm7", 0)
    assert not ranking.renew([Row("new", ("new", 0))], BY_CPU)
    now[0] = RESORT_S
    assert not ranking.renew([Row("k7", ("vm7", 0))], BY_CPU)
