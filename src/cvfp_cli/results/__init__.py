"""summary.json: its schema, the store that writes it, the reader of it and of older files."""
