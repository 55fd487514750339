"""The paper's experiments, beside the package, on its public names: ``python -m studies.mixture`` (scifi, wnc, debias).

Belongs here: which runs, plans, tables and figures make up an experiment. Does not: how any of them is computed.
"""
