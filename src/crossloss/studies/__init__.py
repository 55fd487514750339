"""Studies: the paper's experiments, one file (or folder) each, as HTML, CSV and SVG.

Belongs here: which runs, plans and figures make up a table of the paper. Does not: how any of them is computed.
"""
