"""Everything that happens on another machine."""
