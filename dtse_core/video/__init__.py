"""Frames in and frames out: video files, masks drawn on frames, and what a prediction is."""
