"""Everything that can go wrong, in one tree.

TierwiseError
├── BadRequest              400 invalid_request      the caller's request cannot be understood
│   ├── BadHeader           400 invalid_header       CR, LF, NUL or a framing trick in the request head
│   ├── LossRefused         400 loss_refused         strict mode: the target dialect cannot carry a feature
│   ├── ThreadUnsupported   400 thread_unsupported   a turn of a thread that only Anthropic keeps
│   ├── TooLarge            413 request_too_large    body or header block over the limit
│   ├── Unfit               400 unfit                no tier that it may go to can serve it
│   │   └── ResponseUnknown 400 previous_response_not_found  a response that nobody who may serve can look up
│   └── Unprocessable       422 unprocessable        well-formed, but at odds with an earlier request
├── Unauthenticated         401 authentication       no key, wrong key, revoked key
├── Forbidden               403 permission           a good key that may not do this
├── NotFound                404 not_found            no such path
│   └── UnknownModel        404 model_not_found      no such model, tier or task; names the nearest
├── MethodNotAllowed        405 method_not_allowed
├── Misdirected             421 misdirected          the control port under a foreign host name
├── UpgradeRequired         426 upgrade_required     WebSocket is not spoken here
├── BudgetRefused           402 budget               a hard cap would be passed
│   └── CapReached          402 max_cost             a stream was stopped at its own cap
├── LimitRefused            429 rate_limit           requests, tokens or concurrency of this caller
├── NoTier                  503 no_tier              no tier is served here
├── Overloaded              503 overloaded           this gateway is full or draining
├── DeadlineMissed          504 deadline             the caller's deadline passed
├── UpstreamError                                    the provider answered with an error, or did not answer
│   ├── UpstreamRefused     502 upstream_refused     DNS, connect or TLS failed: nothing was sent
│   ├── UpstreamTimeout     504 upstream_timeout     no answer in time
│   ├── UpstreamBroke       502 upstream_broke       the answer broke off or was malformed
│   └── UpstreamStatus      (its own) upstream_status  an error status; keeps the provider's words
├── StoreError              503 store                the ledger cannot be written or read
│   └── StoreLocked         503 store_locked         another process owns the ledger
├── ConfigError             500 config               tierwise.toml or policy.toml is wrong
└── SuiteError              400 suite                a suite, scorer or judge is wrong

`retry` says what a retry may do: `never`, `later` (the same call again may work) or `next_tier` (another
deployment or tier may work now). `hint` says what to do. `param` names the offending field where there is
one.
"""

from __future__ import annotations

from typing import ClassVar, Literal

Retry = Literal["never", "later", "next_tier"]


class TierwiseError(Exception):
    """Base of every expected failure. `str(error)` is one sentence of what happened; `hint` one of what to
    do."""

    status: int = 500
    kind: ClassVar[str] = "internal"
    retry: Retry = "never"

    def __init__(self, message: str, hint: str = "", param: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.param = param

    def sentence(self) -> str:
        """What happened and what to do, as one line for people."""
        # A message may end in a provider's words, which need not end in a full stop.
        stop = "." if self.hint and self.message[-1:].isalnum() else ""
        return f"{self.message}{stop} {self.hint}".strip()


class BadRequest(TierwiseError):
    status = 400
    kind = "invalid_request"


class BadHeader(BadRequest):
    kind = "invalid_header"


class LossRefused(BadRequest):
    kind = "loss_refused"


class ThreadUnsupported(BadRequest):
    """A turn of a conversation that Anthropic keeps (`thread`), for a model of another vendor, which could
    make nothing of it without the turns before."""

    kind = "thread_unsupported"

    def __init__(self, model: str) -> None:
        said = f"{model} is another vendor's model, where `thread` is not known."
        hint = "Send the whole conversation without it, as Anthropic's SDKs do by themselves."
        super().__init__(said, hint, "thread")


class TooLarge(BadRequest):
    status = 413
    kind = "request_too_large"


class Unfit(BadRequest):
    """Every tier that the request may go to lacks something it needs; the message says what, for each."""

    kind = "unfit"


class ResponseUnknown(Unfit):
    """A `previous_response_id` that this gateway does not remember, and no provider that the request may go
    to can look up: a model would answer without the conversation."""

    kind = "previous_response_not_found"


class Unprocessable(BadRequest):
    status = 422
    kind = "unprocessable"


class Unauthenticated(TierwiseError):
    status = 401
    kind = "authentication"


class Forbidden(TierwiseError):
    status = 403
    kind = "permission"


class NotFound(TierwiseError):
    status = 404
    kind = "not_found"


class UnknownModel(NotFound):
    kind = "model_not_found"


class MethodNotAllowed(TierwiseError):
    """`allow`: the methods that are answered there, as the reply's header names them."""

    status = 405
    kind = "method_not_allowed"

    def __init__(self, method: str, path: str, allow: str) -> None:
        super().__init__(f"{method} is not answered at {path[:200]}.", f"Use {allow}.")
        self.allow = allow


class Misdirected(TierwiseError):
    status = 421
    kind = "misdirected"


class UpgradeRequired(TierwiseError):
    status = 426
    kind = "upgrade_required"


class BudgetRefused(TierwiseError):
    """A hard cap would be passed. Never carries a long Retry-After: SDKs would sleep through it. `scope` is
    the budget's, "" where it is not one of the ledger's; `reserved_pico` may become free again; `too_large`:
    the call would not fit if nothing were spent."""

    scope: str = ""
    reserved_pico: int = 0
    too_large: bool = False

    status = 402
    kind = "budget"


class CapReached(BudgetRefused):
    """Never sent: the caller's answer ends as one that was too long. The ledger's row names it."""

    kind = "max_cost"


class LimitRefused(TierwiseError):
    """`what` is counted a minute (`requests`, `tokens`; "" for calls at once), at most `limit`, of which
    `left` may be used now. `retry_after_s` is a minute at most, None where no wait helps."""

    what: str = ""
    limit: int = 0
    left: int = 0
    status = 429
    kind = "rate_limit"
    retry: Retry = "later"

    def __init__(self, message: str, hint: str = "", retry_after_s: float | None = 1.0) -> None:
        super().__init__(message, hint)
        self.retry_after_s = retry_after_s


class NoTier(TierwiseError):
    status = 503
    kind = "no_tier"


class Overloaded(TierwiseError):
    """`retry_after_s`: when to ask again; not the same for all who are refused at once."""

    status = 503
    kind = "overloaded"
    retry: Retry = "later"

    def __init__(self, message: str, hint: str = "", retry_after_s: float = 1.0) -> None:
        super().__init__(message, hint)
        self.retry_after_s = retry_after_s


class DeadlineMissed(TierwiseError):
    status = 504
    kind = "deadline"


class UpstreamError(TierwiseError):
    status = 502
    kind = "upstream"
    retry: Retry = "next_tier"


class UpstreamRefused(UpstreamError):
    """`own`: not by the provider: this machine lacked what a connection takes."""

    own: bool = False
    kind = "upstream_refused"


class UpstreamTimeout(UpstreamError):
    status = 504
    kind = "upstream_timeout"


class UpstreamBroke(UpstreamError):
    """`stale`: before its reply, on a connection that had been kept, which the provider may just have given
    up."""

    stale: bool = False
    kind = "upstream_broke"


class UpstreamStatus(UpstreamError):
    """The provider's own error, read by its dialect.

    `status` is the provider's; `code` its machine word (`insufficient_quota`, `overloaded_error` …);
    `retry_after_s` its Retry-After in seconds, None when it gave none; `body` its body as sent, for a reply
    in the same dialect.
    """

    kind = "upstream_status"

    def __init__(self, status: int, message: str, code: str = "", body: bytes = b"") -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.body = body
        self.retry_after_s: float | None = None
        transient = status in (408, 409, 429, 529) or status >= 500
        self.retry = "next_tier" if transient or status in (401, 402, 403) else "never"


class StoreError(TierwiseError):
    status = 503
    kind = "store"
    retry: Retry = "later"


class StoreLocked(StoreError):
    kind = "store_locked"
    retry: Retry = "never"


class ConfigError(TierwiseError):
    kind = "config"


class SuiteError(TierwiseError):
    status = 400
    kind = "suite"
