"""Objectives: differentiable scalars of a view of the parameters, with word lists as data files.

Belongs here: value, reading of the sign, coverage of words, significance of an objective.
Does not: how the parameters came about, or which samples made them.
"""
