"""One self-contained HTML page for a run.

Belongs here: figures as inline SVG, the page template. Does not: computing anything it shows.
"""
