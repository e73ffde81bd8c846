"""Who may reach what on the control port, over real sockets: every route, every door."""

from __future__ import annotations

import http.client
import json
import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlencode

import pytest
from starlette.routing import Route

import live
from tierwise.web.guard import CSP
from tierwise.web.routes import accesses

SECRET = "open-sesame"
BEARER = {"authorization": f"Bearer {SECRET}"}
FORM = "application/x-www-form-urlencoded"


class Browser:
    """A cookie jar of one host, and what a page's form would send."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.cookies: dict[str, str] = {}

    def request(
        self, method: str, path: str, body: bytes | None = None, headers: dict[str, str] | None = None
    ) -> live.Got:
        """One request with this browser's cookies; keeps what is set. Redirects are not followed."""
        sent = {"cookie": "; ".join(f"{k}={v}" for k, v in self.cookies.items()), **(headers or {})}
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=120)
        connection.request(method, path, body, sent)
        reply = connection.getresponse()
        self.set = [value for name, value in reply.getheaders() if name.lower() == "set-cookie"]
        for cookie in self.set:
            name, _, value = cookie.partition(";")[0].partition("=")
            self.cookies[name] = value.strip('"')
        got = live.Got(reply.status, {k.lower(): v for k, v in reply.getheaders()}, reply.read())
        connection.close()
        return got

    def get(self, path: str) -> live.Got:
        return self.request("GET", path)

    def post(self, path: str, fields: dict[str, str], headers: dict[str, str] | None = None) -> live.Got:
        sent = {"content-type": FORM, **(headers or {})}
        return self.request("POST", path, urlencode(fields).encode(), sent)

    def token(self, path: str = "/keys") -> str:
        """The form token of a page."""
        found = re.search(r'name="token" value="([^"]+)"', self.get(path).body.decode())
        assert found
        return found[1]

    def sign_in(self, secret: str = SECRET) -> live.Got:
        token = self.token("/sign-in")
        return self.post("/sign-in", {"token": token, "secret": secret, "next": "/keys"})


class World(live.Gateway):
    """A gateway whose provider is nobody; its control port."""

    def __init__(self, folder: Path, extra: str, environ: dict[str, str]) -> None:
        super().__init__(folder, live.config("openai_chat", live.free_port(), extra=extra), environ)
        self.admin = int(self.arguments[self.arguments.index("--admin-port") + 1])
        assert live.wait_for(lambda: "Dashboard:" in self.log.read_text())
        assert live.wait_for(lambda: live.request(self.admin, "GET", "/healthz").status == 200)

    def ask(
        self, method: str, path: str, headers: dict[str, str] | None = None, body: bytes | None = None
    ) -> live.Got:
        return live.request(self.admin, method, path, body, headers)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    extra = '[server]\nadmin_secret = "env:ADMIN_SECRET"\n'
    made = World(tmp_path_factory.mktemp("web"), extra, {"ADMIN_SECRET": SECRET})
    yield made
    assert made.stop() == 0


@pytest.fixture
def browser(world: World) -> Browser:
    made = Browser(world.admin)
    assert made.sign_in().status == 303
    return made


ROUTES = sorted(accesses().items())


@pytest.mark.parametrize(("route", "access"), ROUTES, ids=[f"{m} {p}" for (m, p), _ in ROUTES])
def test_every_route_refuses_who_may_not(world: World, route: tuple[str, str], access: str) -> None:
    method, path = route
    path = re.sub(r"\{[^}]+\}", "x", path)
    refused = (401, 303) if access == "admin" else (403,)
    body = b"{}" if method != "GET" else None
    for headers in ({}, {"authorization": "Basic x"}, {"cookie": f"tierwise_{world.admin}=forged"}):
        got = world.ask(method, path, {"content-type": "application/json", **headers}, body)
        if access in ("admin", "local"):
            assert got.status in refused, (headers, got.body)
            if got.status == 303:
                assert got.headers["location"].startswith("/sign-in")
        else:
            assert got.status not in (401, 500)
    if access == "local":
        assert world.ask(method, path, {**BEARER, "x-tierwise-local": "wrong"}, b"{}").status == 403


def test_no_route_is_outside_the_table() -> None:
    from tierwise.web.application import Dashboard
    from tierwise.web.doors import Doors
    from tierwise.web.site import Site

    app = Dashboard(Site(None, Doors())).app  # type: ignore[arg-type]
    routes = [route for route in app.routes if isinstance(route, Route)]
    there = {(method, route.path) for route in routes for method in (route.methods or set()) - {"HEAD"}}
    assert there == set(accesses())


def test_the_bearer_reads_every_page_and_its_twin(world: World) -> None:
    for (method, path), access in ROUTES:
        if method == "GET" and access == "admin" and "{" not in path:
            got = world.ask("GET", path, BEARER)
            assert got.status == 200, (path, got.body[:500])
            if path.startswith("/api/"):
                got.json()
            else:
                text = got.body.decode()
                assert "<h1>" in text
                assert " style=" not in text
                assert "<script>" not in text
                assert " onclick" not in text


def test_headers_of_protection(world: World) -> None:
    for path in ("/sign-in", "/healthz", "/api/v1/keys", "/nosuch", "/static/style.css"):
        headers = world.ask("GET", path).headers
        assert headers["content-security-policy"] == CSP
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["x-frame-options"] == "DENY"
        assert "access-control-allow-origin" not in headers
    assert "unsafe" not in CSP


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "[::1].evil"])
def test_a_foreign_host_name_is_refused(world: World, host: str) -> None:
    assert world.ask("GET", "/healthz", {"host": host}).status == 421
    got = world.ask("GET", "/api/v1/keys", {**BEARER, "host": host})
    assert got.status == 421
    assert set(got.json()["error"]) == {"kind", "message", "hint"}
    assert got.headers["content-security-policy"] == CSP


def test_the_session_cookie_and_sign_out(world: World) -> None:
    browser = Browser(world.admin)
    assert browser.sign_in("wrong").status == 401
    got = browser.sign_in()
    assert (got.status, got.headers["location"]) == (303, "/keys")
    [cookie] = [each for each in browser.set if "visitor" not in each]
    assert "HttpOnly" in cookie
    assert "SameSite=strict" in cookie
    assert "Domain" not in cookie
    assert browser.get("/keys").status == 200
    assert browser.post("/sign-out", {"token": "wrong"}).status == 403
    assert browser.post("/sign-out", {"token": browser.token()}).status == 303
    got = browser.get("/keys")
    assert (got.status, got.headers["location"]) == (303, "/sign-in?next=/keys")


def test_an_ended_session_is_told_and_changes_nothing(world: World) -> None:
    browser = Browser(world.admin)
    browser.cookies[f"tierwise_{world.admin}"] = "of-a-former-life"
    got = browser.get("/tasks?range=7d")
    assert "ended=1" in got.headers["location"]
    assert b"Your session has ended" in browser.get(got.headers["location"]).body
    typed = {"text": "# an hour's <b>work</b>\n[[rule]]", "token": "t0ken"}
    got = browser.post("/policy", typed)
    assert got.status == 401
    assert b"Your session has ended" in got.body
    # What was typed is not lost with the session.
    assert b"# an hour&#39;s &lt;b&gt;work&lt;/b&gt;\n[[rule]]</textarea>" in got.body
    assert b"t0ken" not in got.body
    assert b"/sign-in?next=%2Fpolicy" in got.body
    stranger = Browser(browser.port).post("/policy", typed)
    assert (stranger.status, b"work" in stranger.body) == (401, False)


@pytest.mark.parametrize("next_", ["//evil.example", "https://evil.example", "/\\evil.example", "/a\nb"])
def test_sign_in_leads_only_to_pages_of_this_server(world: World, next_: str) -> None:
    browser = Browser(world.admin)
    token = browser.token("/sign-in")
    got = browser.post("/sign-in", {"token": token, "secret": SECRET, "next": next_})
    assert got.headers["location"] == "/"


def test_a_change_needs_the_form_token_and_the_same_site(browser: Browser) -> None:
    token = browser.token()
    fields = {"name": "made-by-form", "token": token}
    assert browser.post("/keys", {"name": "x"}).status == 403
    stale = browser.post("/keys", {"name": "typed before", "token": "wrong"})
    assert stale.status == 403
    assert b"typed before</textarea>" in stale.body
    assert browser.post("/keys", fields, {"origin": "https://evil.example"}).status == 403
    assert browser.post("/keys", fields, {"origin": "null"}).status == 403
    body = json.dumps({"name": "by-script"}).encode()
    json_type = {"content-type": "application/json"}
    assert browser.request("POST", "/api/v1/keys", body, json_type).status == 403
    assert browser.request("POST", "/api/v1/keys", body, {"content-type": FORM}).status == 400
    own = {"origin": f"http://127.0.0.1:{browser.port}"}
    assert b"made-by-form was made" in browser.post("/keys", fields, own).body
    assert browser.request("POST", "/api/v1/keys", body, {**json_type, "x-csrf-token": token}).status == 201


def test_metrics_and_the_description_are_open_on_loopback(world: World) -> None:
    assert b"tierwise_in_flight " in world.ask("GET", "/metrics").body
    assert world.ask("GET", "/openapi.json").json()["openapi"] == "3.1.0"


def test_without_a_secret_a_printed_link_opens_once(tmp_path: Path) -> None:
    world = World(tmp_path, "", {})
    found = re.search(r"(/sign-in\?token=\S+)", world.log.read_text())
    assert found
    browser = Browser(world.admin)
    page = browser.get("/sign-in").body
    assert b"has no admin secret" in page
    assert b"<code>tierwise dashboard</code>" in page
    assert browser.get(found[1]).status == 200
    assert browser.get("/keys").status == 200
    assert Browser(world.admin).get(found[1]).status == 401
    for guess in ("", "admin", "None"):
        got = world.ask("GET", "/api/v1/keys", {"authorization": f"Bearer {guess}"})
        assert got.status == 401
    assert world.stop() == 0


def test_failures_are_limited(tmp_path: Path) -> None:
    extra = '[server]\nadmin_secret = "env:ADMIN_SECRET"\n'
    world = World(tmp_path, extra, {"ADMIN_SECRET": SECRET})
    statuses = [world.ask("GET", "/api/v1/keys", {"authorization": f"Bearer no{n}"}).status for n in range(7)]
    assert statuses == [401] * 5 + [429] * 2
    assert int(world.ask("GET", "/api/v1/keys", BEARER).headers["retry-after"]) > 0
    assert world.stop() == 0


def test_a_wrong_bearer_still_reaches_the_sign_in_page(tmp_path: Path) -> None:
    """As a proxy in front may add one of its own; the page must not lead to itself."""
    world = World(tmp_path, "", {})
    wrong = {"authorization": "Bearer of-a-proxy"}
    assert live.request(world.admin, "GET", "/", headers=wrong).status == 303
    for path in ("/sign-in", "/healthz", "/static/icon.svg"):
        for _ in range(7):
            assert live.request(world.admin, "GET", path, headers=wrong).status == 200
    assert world.stop() == 0


def test_beyond_loopback_a_secret_is_needed(tmp_path: Path) -> None:
    import subprocess
    import sys

    (tmp_path / "tierwise.toml").write_text(
        live.config("openai_chat", 9, extra='[server]\nadmin_host = "0.0.0.0"\n')
    )
    done = subprocess.run(
        [sys.executable, "-m", "tierwise", "serve", "--port", "0", "--admin-port", "0"],
        capture_output=True, text=True, cwd=tmp_path, timeout=120, env={"UPSTREAM_KEY": "x", "PATH": ""},
    )  # fmt: skip
    assert done.returncode != 0
    assert "needs an admin secret" in done.stderr
