"""The catalog of Losses, and that no dialect names one outside it."""

from __future__ import annotations

import re
from pathlib import Path

import tierwise.dialects
from tierwise.dialects import losses
from tierwise.nouns import Loss

ROOM = Path(tierwise.dialects.__file__).parent


def test_a_loss_is_noted_once_and_in_order() -> None:
    noted = losses.Losses()
    assert not noted
    for name in ("cache.mark", "user", "cache.mark"):
        noted.add(name)
    idle = {
        "truncation": "disabled",
        "background": False,
        "mcp_servers": [],
        "cachedContent": "",
    }
    noted.extras({"seed": 1, **idle})
    noted.opaque("search_result")
    assert [loss.name for loss in noted.tuple()] == [
        "cache.mark",
        "user",
        "extra.seed",
        "opaque.search_result",
    ]
    assert noted


def test_the_header_names_each_once_and_bears_no_strange_bytes() -> None:
    given = [Loss("user"), Loss("extra.a\r\nset-cookie: x,y"), Loss("user", "again")]
    assert losses.header(given) == b"user, extra.a__set-cookie__x_y"


def test_the_header_is_bounded_and_says_how_many_are_left_out() -> None:
    value = losses.header(Loss(f"extra.{'x' * 60}{i}") for i in range(100))
    assert len(value) < 1200
    shown, _, left = value.rpartition(b", +")
    assert len(shown.split(b", ")) + int(left) == 100


def test_the_catalog_has_every_name_that_is_used_and_no_other() -> None:
    known = [*losses.CATALOG, *(f"{family}." for family in losses.FAMILIES)]
    sources = "\n".join(path.read_text() for path in ROOM.rglob("*.py") if path.name != "losses.py")
    used = set(re.findall(r"""(?:osses|noted)\.add\(\s*f?"([^"]+)\"""", sources))
    made = tuple(name.partition("{")[0] for name in used if "{" in name)
    for name in losses.CATALOG.keys() - set(losses.FAMILIES):
        assert f'"{name}"' in sources or name.startswith(made), f"nothing is lost as {name}"
    assert len(used) > 50
    for name in used:
        head, brace, _ = name.partition("{")
        if brace:
            assert any(listed.startswith(head) for listed in known), name
        else:
            assert losses.meaning(name), f"{name} has no line in losses.CATALOG"


def test_meanings() -> None:
    assert losses.meaning("sampling.top_k")
    assert losses.meaning("extra.anything")
    assert losses.meaning("nonsense") == ""
    assert losses.meaning("sampling") == ""
