"""Model families, a folder each: what a training field is made of.

Belongs here: fields, their views and accumulators, models read from other tools. Does not: update rules, runs, scores.
"""
