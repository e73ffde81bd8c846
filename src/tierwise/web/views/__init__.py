"""The pages' figures. Each view is a function (site, query) → a Struct, shown as HTML and as JSON alike."""
