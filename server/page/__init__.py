"""Pages for people: self-contained HTML with charts in SVG, no script, nothing fetched."""
