"""Numbers first (tables, heatmaps, findings as data), then renderers."""
