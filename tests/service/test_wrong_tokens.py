from __future__ import annotations

from vidsift.service.wrong_tokens import WrongTokens


def test_wrong_tokens_are_forgiven_by_and_by() -> None:
    now = [100.0]
    counted = WrongTokens(free=3, seconds=5.0, clock=lambda: now[0])
    for _ in range(3):
        assert counted.wait_seconds("a") == 0
        counted.wrong("a")
    assert counted.wait_seconds("a") == 5
    now[0] += 3.5
    assert counted.wait_seconds("a") == 2
    now[0] += 1.5
    assert counted.wait_seconds("a") == 0
    counted.wrong("a")
    assert counted.wait_seconds("a") == 5
    assert counted.wait_seconds("b") == 0
    now[0] += 60
    for _ in range(2):
        counted.wrong("a")
    assert counted.wait_seconds("a") == 0


def test_who_brought_the_right_one_never_waits() -> None:
    counted = WrongTokens(free=1, clock=lambda: 0.0)
    counted.right("a")
    for _ in range(50):
        counted.wrong("a")
    assert counted.wait_seconds("a") == 0


def test_no_more_clients_are_remembered_than_there_is_room_for() -> None:
    counted = WrongTokens(free=1, clients=2, clock=lambda: 0.0)
    for client in ("a", "b", "c"):
        counted.wrong(client)
    assert [counted.wait_seconds(client) for client in "abc"] == [0, 5, 5]
