"""Responses that the simulator keeps, as OpenAI does unless `store` is false, for requests that name them."""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

from ..prompt import Rejected
from .face import list_of

_MOST = 1000


class Stored:
    """The last 1,000 conversations by their last response's id, and their items by their own."""

    def __init__(self) -> None:
        self._turns: OrderedDict[str, list[Any]] = OrderedDict()
        self._items: OrderedDict[str, Any] = OrderedDict()

    def whole(self, body: dict[str, Any]) -> list[Any] | str | None:
        """The input of `body` with all that it only names. Rejected where that is not kept."""
        before: list[Any] = []
        if name := body.get("previous_response_id"):
            found = self._turns.get(str(name))
            if found is None:
                said = f"Previous response with id '{name}' not found."
                raise Rejected(400, said, "previous_response_id", "previous_response_not_found")
            before = found
        given = body.get("input")
        if given is None or (isinstance(given, str) and not before):
            return given
        items = [{"role": "user", "content": given}] if isinstance(given, str) else list_of(given, "input")
        return [*before, *map(self._named, items)]

    def _named(self, item: Any) -> Any:
        if not isinstance(item, dict) or item.get("type") != "item_reference":
            return item
        if item.get("id") not in self._items:
            raise Rejected(404, f"Item with id '{item.get('id')}' not found.", "input")
        return self._items[item["id"]]

    def keep(self, asked: dict[str, Any], response: dict[str, Any]) -> None:
        """Keeps what `response` answered to `asked`, whose input is whole."""
        if asked.get("store") is False:
            return
        given = asked["input"]
        items = [{"role": "user", "content": given}] if isinstance(given, str) else given
        self._turns[response["id"]] = [*items, *response["output"]]
        self._items |= {item["id"]: item for item in response["output"]}
        while len(self._turns) > _MOST:
            self._turns.popitem(last=False)
        while len(self._items) > _MOST:
            self._items.popitem(last=False)
