"""One module a section: figures and findings from a scope, in no language."""
