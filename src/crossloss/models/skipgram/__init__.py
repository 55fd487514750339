"""The exact skip-gram field and what is made of its parameters.

Belongs here: the field and its tiles, embeddings in and out, quality of embeddings, baselines that count pairs.
Does not: how a run is stepped or stored, what an objective is.
"""
