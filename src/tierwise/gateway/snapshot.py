"""Snapshot: the configuration a request is served by, immutable; a reload swaps in another one whole."""

from __future__ import annotations

from functools import partial

from tierwise.clock import now_us, rfc3339
from tierwise.config import Settings, model_at, model_for
from tierwise.costing import PricedModel
from tierwise.errors import UnknownModel
from tierwise.nouns import Model, Provider, Route
from tierwise.routing import Table
from tierwise.upstream import Deployment

from .cache.terms import Terms
from .routes import Routes


class Snapshot:
    """Settings with what is prepared from them once: the routing table, and Deployments as they are first
    used."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.catalog = settings.catalog
        self.policy = settings.policy
        find = partial(model_for, settings.catalog)
        self.table = Table(settings.catalog, settings.policy, rfc3339(now_us())[:10], find)
        self.routes = Routes(self.table)
        self._deployments: dict[str, Deployment] = {}
        self.keeping = Terms.of(settings)
        """What the response cache keeps; None: it is off."""
        reference = settings.catalog.tiers.get(settings.catalog.ladder.reference)
        self.reference_model = reference.model if reference else None

    def deployment(self, model_name: str) -> Deployment:
        """The Deployment of a Model's name. Raises UnknownModel when no provider serves it."""
        found = self._deployments.get(model_name)
        if found is None:
            model = model_for(self.catalog, model_name)
            if model is None:
                raise UnknownModel(f"No provider here serves {model_name!r}.", "See GET /v1/models.", "model")
            found = self.prepare(model)
            # Names come from requests when a provider passes any id on: keep their memory bounded.
            if len(self._deployments) < 10_000:
                self._deployments[model_name] = found
        return found

    def priced(self, provider: Provider, model_id: str) -> PricedModel:
        """The prices of a model that `provider` asked of its own accord, whether it is served here or not."""
        model = model_for(self.catalog, f"{provider.name}/{model_id}")
        return PricedModel(model or model_at(provider, model_id))

    def prepare(self, model: Model) -> Deployment:
        """A Deployment of `model`, not kept."""
        provider = self.catalog.providers[model.provider]
        return Deployment(model, provider, self.settings.secrets.get(provider.name))

    def reference(self) -> Deployment | None:
        """The Deployment of the ladder's reference tier, None when nothing serves it."""
        return self.deployment(self.reference_model) if self.reference_model else None

    def asked(self, route: Route) -> Deployment | None:
        """The Deployment of the Model the caller named, None when none was named outright."""
        if route.how != "pinned":
            return None
        return self.deployment(self.catalog.aliases.get(route.asked, route.asked))
