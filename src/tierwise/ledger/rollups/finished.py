"""Finished calls as the figures take them: CLOSE rows and corrections without OPEN rows, only the columns
and rows that matter, and no words put together only to be read again.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from msgspec.json import Decoder

from ...clock import rfc3339
from ...costing.settled import Only, Settled
from ...nouns import Usage
from ..rows import Row
from .sql import Flavour
from .tally import DAY, STEPS, tags_of

_COLUMNS = (
    "o.attempt, o.exchange, e.at_us, o.model, o.provider, e.input, e.cache_read, e.cache_write_5m,"
    " e.cache_write_1h, e.output, e.reasoning, e.extra, e.usage_source, e.service_tier, e.cost_pico,"
    " e.outcome, e.unpriced, o.key, o.task, o.tier, o.kind, o.asked, o.session, o.prefix, o.tags, o.stream,"
    " e.total_us, e.served_model, e.asked_pico, e.reference_pico, e.error"
)
_EVENT = (
    "SELECT {late} AS late, e.seq AS seq, {columns} FROM {table} e JOIN open_rows o ON o.seq = e.open_seq"
    "{same_day} WHERE e.seq > :low AND e.seq <= :high AND +e.at_us >= :since AND +e.at_us < :until{only}"
)
_DAY_US = STEPS[DAY]
_MOST_LISTED = 1000
"""Tasks above which all are given: a statement takes only so many parameters."""
_extra = Decoder(dict[str, int]).decode


def finished_query(flavour: Flavour, only: Only) -> str:
    """CLOSE rows and corrections numbered after `:low` up to `:high` that ended from `:since` to before
    `:until`, of the calls that `only` asks for; more parameters: those of `asked_for`."""
    terms = ["e.outcome <> 'cached'"]
    for column, (name, words) in zip(("o.kind", "o.task", "e.outcome"), _listed(only), strict=True):
        if words is not None:
            listed = ", ".join(f":{name}_{n}" for n, _ in enumerate(words))
            terms.append(f"{column} IN ({listed or 'NULL'})")
    wanted = f" AND (e.outcome = 'swept' OR {' AND '.join(terms)})"
    same_day = flavour.same_day.format("o", "e")
    closes, late = (
        _EVENT.format(late=late, columns=_COLUMNS, table=table, same_day=same_day, only=terms)
        for late, table, terms in ((0, "close_rows", wanted), (1, "correction_rows", ""))
    )
    return flavour.text(f"{closes} UNION ALL {late} ORDER BY seq")


def asked_for(only: Only) -> dict[str, str]:
    """The parameters of `finished_query` for what is asked for."""
    listed = ((name, words or ()) for name, words in _listed(only))
    return {f"{name}_{n}": word for name, words in listed for n, word in enumerate(words)}


def _listed(only: Only) -> tuple[tuple[str, Sequence[str] | None], ...]:
    # A row without a kind is a call.
    kinds = (*only.kinds, "") if only.kinds and "call" in only.kinds else only.kinds
    tasks = only.tasks if only.tasks is None or len(only.tasks) <= _MOST_LISTED else None
    return ("kind", kinds), ("task", tasks), ("outcome", only.outcomes)


def ended(rows: Iterable[Row]) -> Iterator[tuple[bool, Settled]]:
    """Rows of `finished_query` as `corrected` takes them."""
    days: dict[int, str] = {}
    for row in rows:
        (
            late, _, attempt, exchange, at_us, model, provider, fresh, read, short, long, output, reasoning,
            extra, source, service_tier, cost, outcome, unpriced, key, task, tier, kind, asked, session,
            prefix, tags, stream, total_us, served_model, asked_pico, reference_pico, error,
        ) = row  # fmt: skip
        day = days.get(at_us // _DAY_US)
        if day is None:
            day = days[at_us // _DAY_US] = rfc3339(at_us)[:10]
        units = _extra(extra.replace("\x00", "\\u0000")) if extra != "{}" else {}
        usage = Usage(fresh, read, short, long, output, reasoning, units, source, service_tier or "")
        yield late == 1, Settled(
            attempt, exchange, at_us, day, model, provider, usage, cost, outcome, unpriced, key, task, tier,
            kind or "call", asked, session, prefix or "", tags_of(tags), stream == 1, total_us, served_model,
            asked_pico, reference_pico, outcome != "swept", error,
        )  # fmt: skip
