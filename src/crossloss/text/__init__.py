"""Text to sentences to vocabulary to expected pair counts.

Belongs here: reading files, tokens and their offsets, the vocabulary, counting pairs.
Does not: anything that knows of parameters, losses or objectives.
"""
