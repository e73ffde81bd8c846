"""One Attempt at one provider: what is sent, what comes back, how healthy the place is."""

from .attempt import Sent, read_refusal, send
from .batches import ENDPOINTS, Item, Place, Said, Ticket, place_of
from .deployment import Deployment, Header
from .health import Health, seconds

__all__ = [
    "ENDPOINTS",
    "Deployment",
    "Header",
    "Health",
    "Item",
    "Place",
    "Said",
    "Sent",
    "Ticket",
    "place_of",
    "read_refusal",
    "seconds",
    "send",
]
