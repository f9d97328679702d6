"""From movement alone to muscle activity."""
