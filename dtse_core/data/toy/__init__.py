"""The toy world: a small A2D that is drawn, in memory or as files in the genuine layouts."""
