"""Doors: hosts, secrets, sessions, form tokens, failures."""

from __future__ import annotations

import pytest

from tierwise.errors import Forbidden, LimitRefused, Unauthenticated
from tierwise.web.doors import Doors, check_form


@pytest.mark.parametrize("host", ["127.0.0.1:4001", "localhost:4001", "LOCALHOST", "[::1]:4001", "127.0.0.1"])
def test_loopback_answers_to_its_own_names(host: str) -> None:
    assert Doors("127.0.0.1").knows_host(host)


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example:4001", "", "[::2]:4001", "0.0.0.0"])
def test_loopback_refuses_foreign_names(host: str) -> None:
    assert not Doors("127.0.0.1").knows_host(host)


def test_a_configured_host_is_a_name_and_a_wildcard_takes_any() -> None:
    assert Doors("10.1.2.3").knows_host("10.1.2.3:4001")
    assert not Doors("10.1.2.3").knows_host("10.1.2.4:4001")
    assert Doors("0.0.0.0").knows_host("tierwise.internal:4001")
    assert not Doors("0.0.0.0").on_loopback


def test_the_secret_opens_and_nothing_else_does() -> None:
    doors = Doors()
    doors.check_secret("right", "right", "peer")
    for wrong in ("", "Right", "right ", "right\x00", "rightright"):
        with pytest.raises(Unauthenticated):
            Doors().check_secret(wrong, "right", "peer")
    with pytest.raises(Unauthenticated, match="no admin secret"):
        doors.check_secret("", None, "peer")


def test_five_failures_shut_the_door_to_one_peer_even_for_the_right_secret() -> None:
    doors = Doors()
    for _ in range(5):
        with pytest.raises(Unauthenticated):
            doors.check_secret("wrong", "right", "1.2.3.4")
    with pytest.raises(LimitRefused) as refused:
        doors.check_secret("right", "right", "1.2.3.4")
    assert 0 < refused.value.retry_after_s <= 60
    doors.check_secret("right", "right", "5.6.7.8")


def test_a_ticket_works_once() -> None:
    doors = Doors(ticket="printed")
    doors.use_ticket("printed", "peer")
    with pytest.raises(Unauthenticated, match="once"):
        doors.use_ticket("printed", "peer")
    doors.use_ticket(doors.new_ticket(), "other")


def test_a_ticket_lets_in_who_is_shut_out_by_others_of_the_same_address() -> None:
    doors = Doors(ticket="printed")
    for _ in range(5):
        with pytest.raises(Unauthenticated):
            doors.check_secret("wrong", "right", "proxy")
    with pytest.raises(LimitRefused):
        doors.use_ticket("guess", "proxy")
    doors.use_ticket("printed", "proxy")
    with pytest.raises(LimitRefused):
        doors.use_ticket("printed", "proxy")


def test_no_ticket_is_not_the_empty_ticket() -> None:
    with pytest.raises(Unauthenticated):
        Doors(ticket="").use_ticket("", "peer")


def test_sessions_are_kept_by_digest_and_end() -> None:
    doors = Doors()
    id_, session = doors.enter()
    assert doors.session(id_) is session
    assert id_ not in str(vars(doors))
    doors.leave(id_)
    assert doors.session(id_) is None


def test_an_idle_session_ends() -> None:
    doors = Doors()
    id_, session = doors.enter()
    session.seen_s -= 2 * 3600 + 1
    assert doors.session(id_) is None
    id_, session = doors.enter()
    session.until_s -= 12 * 3600 + 1
    assert doors.session(id_) is None


def test_form_tokens() -> None:
    check_form("a", "a")
    for given, wanted in (("", "a"), ("b", "a"), ("", "")):
        with pytest.raises(Forbidden):
            check_form(given, wanted)
    doors = Doors()
    assert doors.visitor_token("one") != doors.visitor_token("two") != Doors().visitor_token("two")


def test_another_sites_pages_cannot_lock_the_user_out() -> None:
    doors = Doors(ticket="printed")
    for _ in range(20):
        with pytest.raises(Unauthenticated):
            doors.use_ticket("guess", "peer", foreign=True)
    doors.check_secret("right", "right", "peer")
    doors.use_ticket("printed", "peer", foreign=True)
