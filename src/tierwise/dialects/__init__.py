"""Two-way translators between a wire format and Ask/Event. They meet only in the nouns; `registry.get` finds
one by name.

`base` says what a dialect must do. The four have a folder each; `sse`, `losses` and the modules beside them
are what they share.
"""
