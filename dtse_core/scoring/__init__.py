"""Masks against the truth: `evaluate` runs a model or reads a folder of masks, and this folder counts.

records       what is kept of a sample, a sentence over a video, a sequence
summary       a protocol's numbers from the records
tables        these numbers as text and as Markdown
mask_files    how predicted masks lie on disk; writing them
mask_reader   reading them from a folder or a zip
submission    zips for the servers, written and validated
"""
