"""Run folders that another process made: opening them, with or without the field, and files for other tools.

Belongs here: what a folder gives back of a run, its scores, plans and checks.
Does not: how a run writes its folder (run).
"""
