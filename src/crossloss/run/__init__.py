"""Training runs and the folder they live in.

Belongs here: stepping and resuming, settings, atomic files, the manifest, metrics.
Does not: what is done with scores once they exist.
"""
