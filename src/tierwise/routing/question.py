"""Question: everything about one request that choosing a tier may depend on."""

from __future__ import annotations

from msgspec import Struct

from ..nouns import Outline

# What a full-size picture costs at most at the vendors that publish it (1568 x 1568 pixels at 750 pixels a
# token is 3,278 before their own scaling to about 1,600).
MEDIA_TOKENS = 1600


class Question(Struct, frozen=True):
    """One request, as far as choosing goes.

    `task` comes from the header `x-tierwise-task`; `pinned_tier` is the tier this session was served by,
    when it should stay there; `prompt_tokens` is the best estimate known, None: estimated here from
    `outline.prompt_bytes`.
    """

    outline: Outline
    task: str | None = None
    pinned_tier: str | None = None
    prompt_tokens: int | None = None

    def tokens(self) -> int:
        """Prompt tokens: the estimate given, else bytes / 3.5 (2 % below to 28 % above the truth) and 1,600
        for each medium.
        """
        if self.prompt_tokens is not None:
            return self.prompt_tokens
        return (self.outline.prompt_bytes * 2 + 6) // 7 + self.outline.media * MEDIA_TOKENS
