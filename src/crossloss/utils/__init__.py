"""Small things that every part may use.

Belongs here: files, memory, progress, processes, numbers as people read them.
Does not: anything that knows of fields, runs or scores.
"""
