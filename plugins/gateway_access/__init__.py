"""Access maps as a plugin."""
