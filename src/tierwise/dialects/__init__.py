"""Two-way translators between a wire format and Ask/Event. They meet only in the nouns; `registry.get`
finds one by name.
"""
