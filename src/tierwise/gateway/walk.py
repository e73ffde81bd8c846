"""Walk: what one Exchange has gathered on its way through the six rooms."""

from __future__ import annotations

from msgspec import Struct, structs

from tierwise.clock import new_id, now_us, tick_us
from tierwise.config.strict import nearest
from tierwise.costing import PricedModel, estimate_tokens
from tierwise.costing.draws import MARKS
from tierwise.dialects.anthropic_messages.usage import class_of
from tierwise.dialects.base import Dialect, limit_of, named_models
from tierwise.errors import BadRequest, TierwiseError
from tierwise.http1 import Request
from tierwise.money import PICO_PER_USD, NotMoney, usd_to_pico
from tierwise.nouns import Ask, Caller, Candidate, Close, DialectName, Loss, Outline, Route, Usage
from tierwise.nouns.answer import tier_billed
from tierwise.routing import repeatable
from tierwise.upstream import Deployment

from .errand import Errand
from .recall import Recall
from .signers import Signed
from .snapshot import Snapshot

# What one image or document is reserved at, in tokens, before the provider says.
_MEDIA_TOKENS = 1600
_ANTHROPIC: DialectName = "anthropic_messages"
_OURS = b"x-tierwise-"
_ASKED = ("deadline", "max-cost-usd", "session", "strict", "tags", "task")
_CLAUDE_CODE = b"x-claude-code-session-id"
_MOST_TAGS = 16
_LONGEST_SESSION = 200
_MOST_NAMES = 100
_LONGEST_NAME = 100
_TRUTH = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}
_NO_OUTLINE = Outline(model="")


class Named:
    """What a path says of a request where the body does not: Gemini's model and whether to stream."""

    def __init__(self, model: str, stream: bool) -> None:
        self.model = model
        self.stream = stream


class Kind:
    """What is asked for: a generation (`named` when the path says model and stream), an `errand`, or a
    count. `spent_on`: the ledger's word for what the money is spent on. `recalls`: its callers may name
    what was answered before instead of sending it."""

    def __init__(
        self,
        named: Named | None = None,
        errand: Errand | None = None,
        counts: bool = False,
        spent_on: str = "call",
        recalls: bool = False,
    ) -> None:
        self.named = named
        self.errand = errand
        self.counts = counts
        self.spent_on = spent_on
        self.recalls = recalls


GENERATION = Kind()


class Tried(Struct, frozen=True):
    """One Attempt that is over: where it went, when it was sent (wall clock, microseconds), its CLOSE row."""

    tier: str
    model: str
    model_id: str
    provider: str
    dialect: DialectName
    sent_at_us: int
    close: Close


class Walk:
    """One Exchange under way. Attributes are filled room by room; `surface` is the caller's dialect.

    `as_read` is the Outline of the body as it came, `outline` of what was made of it. `places`: whether the
    task asks for cache breakpoints; `breakpoints` says which were placed. `recall` is there where its kind
    `recalls`. `other` is the Route of a held-out request were it not held out; while the cache is asked,
    the one it is held on."""

    recall: Recall
    __slots__ = (
        "_ask", "as_read", "asked_task", "at_us", "attempts", "began_us", "body", "breakpoints", "cache",
        "caller", "deadline_s", "failed_dialect", "id", "kind", "losses", "max_cost_pico", "moved",
        "other", "outline", "places", "prompt_tokens", "recall", "request", "route", "scopes", "session",
        "signed", "snapshot", "spent_pico", "strict", "surface", "tags", "tried", "upstream_us",
    )  # fmt: skip

    def __init__(self, request: Request, surface: Dialect, snapshot: Snapshot, caller: Caller) -> None:
        self.request = request
        self.surface = surface
        self.snapshot = snapshot
        self.caller = caller
        self.began_us = tick_us() - request.waited_us
        self.at_us = now_us()
        self.id = new_id("ex", self.at_us)
        self.body = b""
        self.cache = b"bypass"
        self.outline = self.as_read = _NO_OUTLINE
        self.route: Route | None = None
        self.other: Route | None = None
        self.prompt_tokens = 0
        self.upstream_us = 0
        self.attempts = 0
        self.losses: list[Loss] = []
        self.tried: tuple[Tried, ...] = ()
        """Attempts that are over; filled only where telemetry is on."""
        self.failed_dialect = ""
        self._ask: Ask | None = None
        self.signed: Signed | None = None
        self.moved: Signed | None = None
        self.kind = GENERATION
        self.scopes = caller.scopes
        self.asked_task: str | None = None
        self.session = ""
        self.tags: tuple[str, ...] = ()
        self.max_cost_pico: int | None = None
        self.spent_pico: int | None = 0
        """What Attempts that are over cost; None: not known."""
        self.deadline_s: float | None = None
        self.strict = caller.key.strict
        self.places = False
        self.breakpoints = ""
        self._read_headers()

    def _read_headers(self) -> None:
        said: list[tuple[bytes, str]] | None = self.request.alike.get("said")
        if said is None:
            said = self.request.alike["said"] = [
                (name.removeprefix(_OURS), value.decode("latin1").strip())
                for name, value in self.request.headers
                if name.startswith(_OURS) or name == _CLAUDE_CODE
            ]
        for name, value in said:
            self._read_ours(name, value)

    def _read_ours(self, name: bytes, value: str) -> None:
        if name == _CLAUDE_CODE:
            self.session = self.session or value[:200]
        elif name == b"task":
            self.asked_task = value or None
        elif name == b"session":
            self.session = _short(value)
        elif name == b"tags":
            self.tags = _tags(value)
        elif name == b"strict":
            self.strict = _truth(value)
        elif name == b"max-cost-usd":
            self.max_cost_pico = _positive_usd(value)
        elif name == b"deadline":
            self.deadline_s = _seconds(value)
        else:
            # A cap that is spelled wrong must not be a call without a cap.
            asked = name.decode("latin1")
            raise BadRequest(
                f"No request header x-tierwise-… is named {asked[:40]!r}.", nearest(asked, _ASKED)
            )

    def read(self, body: bytes, outline: Outline) -> None:
        """Takes in the body and its Outline."""
        self.body = body
        if outline.max_output is not None and outline.max_output < 0:
            # Some servers take it for "without end", which must not be reserved as nothing.
            outline = structs.replace(outline, max_output=None)
        self.outline = outline
        self.prompt_tokens = estimate_tokens(outline.prompt_bytes) + _MEDIA_TOKENS * outline.media
        if not self.session and outline.session:
            self.session = outline.session[:200]

    def tokens(self) -> int:
        """Tokens of the prompt, by estimate, and of all answers that are asked for."""
        return self.prompt_tokens + (self.outline.max_output or 0) * max(self.outline.choices, 1)

    def ask(self) -> Ask:
        """The whole request in no vendor's words, read once and only when a dialect must be crossed."""
        if self._ask is None:
            headers = {n.decode("latin1"): v.decode("latin1") for n, v in self.request.headers}
            ask = self.surface.read_request(self.body, headers)
            named = self.kind.named
            if named is not None:
                ask = structs.replace(ask, model=named.model, stream=named.stream)
            self._ask = ask
        return self._ask

    def repeatable(self, deployment: Deployment) -> bool:
        """Whether sending the request there twice does nothing twice. What cannot be read might."""
        try:
            return self.kind.errand is not None or repeatable(self.ask(), deployment.dialect.name)
        except TierwiseError:
            return False

    def reservation(self, deployment: Deployment, at_us: int, outline: Outline) -> int:
        """Pico-dollars a call of `outline` may cost at `deployment` by estimate, 0 when it cannot be
        priced."""
        task = self.snapshot.policy.tasks.get(self.route.task) if self.route else None
        default_output = task.default_output_tokens if task else None
        most = deployment.priced.upper_bound(self.prompt_tokens, outline, at_us, default_output)
        if not outline.stand_ins or not self.named(deployment, outline):
            return most
        others = [
            priced.upper_bound(self.prompt_tokens, outline, at_us, default_output)
            for priced in self.stand_ins(deployment, outline).values()
        ]
        # Anthropic bills the tries before the last one too.
        return most + sum(others) if deployment.dialect.name == _ANTHROPIC else max((most, *others))

    def stand_ins(self, deployment: Deployment, outline: Outline) -> dict[str, PricedModel]:
        """The models by which the provider may have a call of `outline` answered instead, by their ids."""
        snapshot, provider = self.snapshot, deployment.provider
        named = (each for each in self.named(deployment, outline) if each != deployment.model.id)
        return {each: snapshot.priced(provider, each) for each in named}

    def named(self, deployment: Deployment, outline: Outline) -> tuple[str, ...]:
        """Ids of those models as they are told to the provider: what a request says of them does not cross
        dialects, what a tier's settings lay over it does."""
        laid = outline.stand_ins is not self.outline.stand_ins
        crosses = deployment.dialect.name != self.surface.name
        return () if crosses and not laid else outline.stand_ins

    def as_set(self, candidate: Candidate) -> Outline:
        """The Outline with what the settings of the candidate's tier lay over the request."""
        tier = self.snapshot.catalog.tiers.get(candidate.tier)
        if tier is None or not tier.settings:
            return self.outline
        settings, outline = tier.settings, self.outline
        if "models" in settings or "fallbacks" in settings:
            laid = named_models(settings.get("models"), settings.get("fallbacks"))
            outline = structs.replace(outline, stand_ins=laid)
        limit = limit_of(settings)
        if limit is not None:
            outline = structs.replace(outline, max_output=limit if limit >= 0 else None)
        return structs.replace(outline, service_tier=self.billed_as(candidate))

    def billed_as(self, candidate: Candidate) -> str:
        """Usage.service_tier that the call asks of `candidate`, its tier's settings laid over the request.
        Anthropic's classes are not told to other vendors, nor theirs to Anthropic."""
        at_anthropic = self.snapshot.deployment(candidate.model).dialect.name == _ANTHROPIC
        crosses = (self.surface.name == _ANTHROPIC) is not at_anthropic
        asked = "" if crosses else self.outline.service_tier or ""
        tier = self.snapshot.catalog.tiers.get(candidate.tier)
        settings = tier.settings if tier is not None else {}
        laid = settings.get("service_tier", settings.get("serviceTier"))
        if isinstance(laid, str) and not at_anthropic:
            asked = laid
        # There the classes that have prices of their own stand in other fields.
        beside = class_of(None, settings.get("speed"), settings.get("inference_geo"))
        return tier_billed(*dict.fromkeys(asked.split("+") + beside.split("+")))

    def unpriced(self, candidate: Candidate) -> str:
        """Why nobody can tell what the call costs at `candidate`; "" where it can be told."""
        deployment, outline = self.snapshot.deployment(candidate.model), self.as_set(candidate)
        least = self.searched(deployment, Usage(input=1, service_tier=self.billed_as(candidate)))
        why = deployment.priced.cost(least, self.at_us).unpriced
        for name, priced in self.stand_ins(deployment, outline).items():
            if not why and (theirs := priced.cost(least, self.at_us).unpriced):
                why = f"{name} may answer instead, and {theirs}"
        return why

    def searched(self, deployment: Deployment, usage: Usage) -> Usage:
        """`usage` at `deployment` with the search that the request asks for, where no reply counts it."""
        asked = self.outline.searches and deployment.dialect.name == self.surface.name
        if not asked or "web_search" in usage.extra:
            return usage
        return structs.replace(usage, extra={**usage.extra, "uncounted_search": 1})

    def least(self, candidate: Candidate) -> int:
        """Pico-dollars for which a capped call must have room at `candidate`: what it may cost, or, of a
        stream whose answer is not bounded, since it is stopped at the cap, what its prompt may."""
        deployment, outline = self.snapshot.deployment(candidate.model), self.as_set(candidate)
        if outline.stream and outline.max_output is None:
            outline = structs.replace(outline, max_output=1)
        return self.reservation(deployment, self.at_us, outline)

    def loss_names(self) -> tuple[str, ...]:
        """Names of everything dropped so far, in order, each once. Callers and providers name some of them:
        of more than a hundred, and of long ones, the rest is left out."""
        if not self.losses:
            return ()
        names = list(dict.fromkeys(loss.name[:_LONGEST_NAME] for loss in self.losses))
        left = len(names) - _MOST_NAMES
        return tuple(names) if left <= 0 else (*names[:_MOST_NAMES], f"+{left}")


def _truth(value: str) -> bool:
    said = _TRUTH.get(value.lower())
    if said is None:
        raise BadRequest(f"x-tierwise-strict is {value[:40]!r}.", "Send true or false (or 1, 0, yes, no).")
    return said


def _tags(value: str) -> tuple[str, ...]:
    # A tag left out would be money left out of its budget.
    tags = tuple(dict.fromkeys(tag for tag in (part.strip() for part in value.split(",")) if tag))
    if taken := next((mark for mark in MARKS if mark in tags), ""):
        raise BadRequest(
            f"The tag {taken!r} marks calls that the gateway drew for its holdout.",
            "Send another word in x-tierwise-tags.",
        )
    if len(tags) > _MOST_TAGS:
        raise BadRequest(f"x-tierwise-tags has {len(tags)} words.", f"Send at most {_MOST_TAGS}.")
    return tags


def _short(session: str) -> str:
    # Two sessions that begin alike must not be taken for one.
    if len(session) > _LONGEST_SESSION:
        raise BadRequest(
            f"x-tierwise-session has {len(session)} characters.", f"Send at most {_LONGEST_SESSION}."
        )
    return session


def _positive_usd(value: str) -> int:
    try:
        pico = usd_to_pico(value)
    except NotMoney:
        pico = -1
    if not 0 < pico <= 10**9 * PICO_PER_USD:
        raise BadRequest(
            f"x-tierwise-max-cost-usd is {value[:40]!r}.", "Send dollars as a positive decimal such as 0.05."
        )
    return pico


def _seconds(value: str) -> float:
    """Seconds of `2`, `1.5s`, `500ms`, `10m` or `2h`."""
    for suffix, factor in (("ms", 0.001), ("s", 1.0), ("m", 60.0), ("h", 3600.0), ("", 1.0)):
        if value.endswith(suffix):
            try:
                seconds = float(value[: len(value) - len(suffix)] or "nan") * factor
            except ValueError:
                break
            if 0 < seconds < 1e6:
                return seconds
            break
    raise BadRequest(f"x-tierwise-deadline is {value[:40]!r}.", "Send seconds such as 2, 500ms, 10m or 2h.")


def scopes_of(walk: Walk) -> tuple[str, ...]:
    """The budget scopes this call is charged on, in a fixed order: key, project, task, tags."""
    task = walk.route.task if walk.route is not None else ""
    scopes = walk.caller.scopes
    if task:
        scopes = (*scopes, f"task:{task}")
    return (*scopes, *(f"tag:{tag}" for tag in walk.tags)) if walk.tags else scopes
