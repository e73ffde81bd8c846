"""Callers: who was known once is found again, until the key is no longer what it was."""

import pytest

from tierwise.errors import Unauthenticated
from tierwise.gateway.auth import Callers
from tierwise.ledger import open_ledger


class Asking:
    """A request of which only the key matters."""

    query = ""

    def __init__(self, secret: str) -> None:
        self.headers = [(b"authorization", b"Bearer " + secret.encode())]
        self.alike = {}


@pytest.fixture
def ledger(tmp_path):
    ledger = open_ledger(f"sqlite:///{tmp_path}/ledger.db", {})
    yield ledger
    ledger._store.release()


def test_a_key_is_told_from_another_each_time(ledger):
    callers = Callers(ledger)
    one, first = ledger.create_key("one", project="p")
    two, second = ledger.create_key("two")
    for _ in range(2):
        assert callers.of(Asking(first)).key is one
        assert callers.of(Asking(second)).key is two
    assert callers.of(Asking(first)).scopes == (f"key:{one.id}", "project:p")


def test_a_revoked_key_is_refused_at_once_although_it_was_known(ledger):
    callers = Callers(ledger)
    key, secret = ledger.create_key("one")
    callers.of(Asking(secret))
    ledger.revoke_key(key.id)
    for _ in range(2):
        with pytest.raises(Unauthenticated):
            callers.of(Asking(secret))


@pytest.mark.parametrize("secret", ["tw-unknown", "x" * 600, "tw-\xff"])
def test_what_is_no_key_is_refused_each_time(ledger, secret):
    callers = Callers(ledger)
    ledger.create_key("one")
    for _ in range(2):
        with pytest.raises(Unauthenticated):
            callers.of(Asking(secret))


def test_who_asks_alike_is_known_until_the_key_is_revoked(ledger):
    key, secret = ledger.create_key("laptop")
    callers, first = Callers(ledger), Asking(secret)
    second = Asking("nothing that is looked at again")
    second.alike = first.alike
    assert callers.of(first).key.id == callers.of(second).key.id == key.id
    ledger.revoke_key(key.id)
    with pytest.raises(Unauthenticated):
        callers.of(first)
