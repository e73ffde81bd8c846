"""One Attempt at one provider: what is sent, what comes back, how healthy the place is."""

from .attempt import Sent, read_refusal, send
from .deployment import Deployment, Header
from .health import Health, seconds

__all__ = ["Deployment", "Header", "Health", "Sent", "read_refusal", "seconds", "send"]
