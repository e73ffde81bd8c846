"""The route table: every page with its JSON twin, and every act. OpenAPI and the tests are made from it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from msgspec import Struct

from tierwise.ledger.local import SIGN_IN

from .guard import Access
from .reading import BODY
from .views import (
    budgets,
    caching,
    estimates,
    evaluations,
    exchanges,
    latency,
    logs,
    overview,
    playground,
    policies,
    rehearsals,
    tasks,
    walked,
)
from .views.ranges import Nothing, Ranged


class Page(Struct, frozen=True):
    """A page: `view(site, query)` gives its figures. `nav` is its word in the menu, "" for none."""

    path: str
    api: str
    template: str
    title: str
    nav: str
    summary: str
    view: Callable[[Any, Any], Any]
    query: type[Struct]
    answer: type[Struct]


class Act(Struct, frozen=True):
    """A change: `do(site, body)` makes it. `form` is where the page's form posts, "" for none."""

    method: str
    api: str
    form: str
    summary: str
    do: Callable[[Any, Any], Any]
    body: type[Struct]
    answer: type[Struct]
    status: int = 200
    most: int = BODY
    """Longest body, bytes."""


PAGES: tuple[Page, ...] = (
    Page("/", "/api/v1/overview", "overview.html", "Overview", "Overview",
         "Spend, saving, requests, errors and what needs attention.",
         overview.overview, Ranged, overview.Overview),
    Page("/tasks", "/api/v1/tasks", "tasks.html", "Tasks", "Tasks",
         "What serves each task, on what evidence, and what to do next.",
         tasks.tasks, Ranged, tasks.Tasks),
    Page("/tiers", "/api/v1/tiers", "tiers.html", "Tiers and latency", "Tiers and latency",
         "Speed, health and price of every tier.",
         latency.tiers, Ranged, latency.Tiers),
    Page("/requests", "/api/v1/requests", "requests.html", "Requests", "Requests",
         "Search attempts by id, key, task, tier and outcome, newest first.",
         exchanges.search, exchanges.Search, exchanges.Exchanges),
    Page("/requests/{exchange}", "/api/v1/requests/{exchange}", "exchange.html", "One request", "",
         "One exchange: attempts, times, usage, price arithmetic, losses, route.",
         exchanges.one, exchanges.OneExchange, exchanges.Exchange),
    Page("/evaluations", "/api/v1/evaluations", "evaluations.html", "Evaluations", "Evaluations",
         "Runs of `tierwise eval`.",
         evaluations.evaluations, Nothing, evaluations.Evaluations),
    Page("/evaluations/{run}", "/api/v1/evaluations/{run}", "run.html", "One evaluation", "",
         "One run and its files.",
         evaluations.one, evaluations.OneRun, evaluations.Run),
    Page("/policy", "/api/v1/policy", "policy.html", "Policy", "Policy",
         "The policy in force, against the prior, and its file.",
         policies.current, policies.AskedPolicy, policies.PolicyView),
    Page("/keys", "/api/v1/keys", "keys.html", "Keys and budgets", "Keys and budgets",
         "Keys, their limits and budgets, what is left, and the audit trail.",
         budgets.keys, budgets.AskedKeys, budgets.Keys),
    Page("/caching", "/api/v1/caching", "caching.html", "Caching", "Caching",
         "What prompt caches saved, and where one would pay.",
         caching.caching, Ranged, caching.Caching),
    Page("/caching/prefixes", "/api/v1/caching/prefixes", "prefixes.html", "Caching by prefix", "",
         "What each shared beginning saved and wasted, and the lifetime that pays.",
         walked.prefixes, Ranged, walked.Prefixes),
    Page("/savings", "/api/v1/savings", "savings.html", "Savings in full", "",
         "What routing saved, net, against either baseline and by calls held out at random.",
         walked.saved, Ranged, walked.Saved),
    Page("/waste", "/api/v1/waste", "waste.html", "Waste", "Waste",
         "Money that bought nothing, and money that is not known.",
         caching.waste, Ranged, caching.Waste),
    Page("/playground", "/api/v1/playground", "playground.html", "Playground", "Playground",
         "The tiers a prompt can be tried on.",
         playground.playground, Nothing, playground.Playground),
    Page("/estimate", "/api/v1/estimate", "estimate.html", "Estimate", "Estimate",
         "What a workload would cost at every model, exactly.",
         estimates.estimates, estimates.Question, estimates.Estimates),
)  # fmt: skip

ACTS: tuple[Act, ...] = (
    Act("POST", "/api/v1/keys", "/keys", "Make a key. Its secret is in this reply only.",
        budgets.create, budgets.NewKey, budgets.MadeKey, 201),
    Act("POST", "/api/v1/keys/revoke", "/keys/revoke", "Revoke a key, at once.",
        budgets.revoke, budgets.OneKey, budgets.Revoked),
    Act("PUT", "/api/v1/budgets", "/budgets", "Put a budget in force for its scope.",
        budgets.set_budget, budgets.NewBudget, budgets.SetBudget),
    Act("POST", "/api/v1/budgets/remove", "/budgets/remove", "Take a scope's budget out of force, at once.",
        budgets.remove_budget, budgets.OneBudget, budgets.RemovedBudget),
    Act("PUT", "/api/v1/policy", "/policy", "Check a policy and put it in force; 409: it changed meanwhile.",
        policies.apply, policies.NewPolicy, policies.Applied),
    Act("POST", "/api/v1/policy/plan", "/policy/plan", "Rehearse a policy on recorded calls; writes nothing.",
        rehearsals.rehearse, rehearsals.Rehearsal, rehearsals.Rehearsed),
    Act("POST", "/api/v1/estimate/log", "/estimate/log", "Price a log of real calls at every model.",
        logs.of_log, logs.CallLog, logs.LogCost, most=3 * logs.LONGEST),
)  # fmt: skip


class Plain(Struct, frozen=True):
    """Another path, for the table of who may reach what."""

    path: str
    methods: tuple[str, ...]
    access: Access


OTHERS: tuple[Plain, ...] = (
    Plain("/healthz", ("GET",), "public"),
    Plain("/metrics", ("GET",), "observer"),
    Plain("/openapi.json", ("GET",), "observer"),
    Plain("/sign-in", ("GET", "POST"), "public"),
    Plain("/sign-out", ("POST",), "admin"),
    Plain("/static/{name}", ("GET",), "public"),
    Plain("/evaluations/{run}/{file}", ("GET",), "admin"),
    Plain("/api/v1/playground/ask", ("POST",), "admin"),
    Plain("/api/v1/playground/quote", ("POST",), "admin"),
    Plain(SIGN_IN, ("POST",), "local"),
    Plain("/api/v1/local/{rest:path}", ("POST",), "local"),
)


def accesses() -> dict[tuple[str, str], Access]:
    """(method, path) → access, of every route there is."""
    table: dict[tuple[str, str], Access] = {}
    for page in PAGES:
        table[("GET", page.path)] = table[("GET", page.api)] = "admin"
    for act in ACTS:
        table[(act.method, act.api)] = "admin"
        if act.form:
            table[("POST", act.form)] = "admin"
    for plain in OTHERS:
        table |= {(method, plain.path): plain.access for method in plain.methods}
    return table
