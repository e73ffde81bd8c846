"""Keys on the pages where there are many of them, or several of one name."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from conformance.test_web_pages import World


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    made = World(tmp_path / "w")
    yield made
    assert made.gateway.verify() == ""
    assert made.gateway.stop() == 0


def test_keys_of_one_name_are_searched_together_and_found_by_a_word(world: World) -> None:
    """The playground makes a key of the same name at each start."""
    made = [
        world.send("POST", "/api/v1/keys", {"name": "same", "project": f"Shop-{n}"}).json() for n in range(2)
    ]
    world.call(made[1]["key"], "one")
    for key in ("same", made[1]["id"]):
        [line] = world.get(f"/api/v1/requests?key={key}").json()["lines"]
        assert line["key"] == made[1]["id"]
    world.send("POST", "/api/v1/keys/revoke", {"id": made[0]["id"]})
    offered = world.get("/api/v1/requests").json()["keys"]
    assert made[1]["id"] in offered
    assert made[0]["id"] not in offered
    for word in ("shop-1", made[1]["id"]):
        [line] = world.get(f"/api/v1/keys?find={word}").json()["keys"]
        assert line["id"] == made[1]["id"]
    # Four letters may stand in another key's id too.
    found = world.get(f"/api/v1/keys?find={made[1]['key'][-4:]}").json()["keys"]
    assert made[1]["id"] in [line["id"] for line in found]
    assert b"No key has" in world.get("/keys?find=nobody").body


def test_a_page_of_many_keys_stays_short(world: World) -> None:
    for number in range(202):
        world.send("POST", "/api/v1/keys", {"name": f"key {number:03}"})
    page = world.get("/keys").body.decode()
    assert page.count('action="/keys/revoke"') == 200
    assert "200 of 203 keys are shown" in page
    assert "Revoke key 198" in page
    assert "Revoke key 199" not in page
    assert world.get("/keys?find=key+201").body.count(b'action="/keys/revoke?find=key+201"') == 1
    assert len(world.get("/api/v1/keys").json()["keys"]) == 203
    assert len(world.get("/api/v1/requests").json()["keys"]) == 200
