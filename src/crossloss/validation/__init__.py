"""How well scores predict retraining.

Belongs here: choosing subsets, retraining without them, comparing. Does not: making scores or plans.
"""
