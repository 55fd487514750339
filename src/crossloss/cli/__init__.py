"""The commands, a file for each group; no logic: a command reads its options, calls stages of the pipeline, prints.

Every option is a word of ``Settings`` or of the Python interface. What is printed and how belongs in ``terminal``.
"""

from crossloss.cli.entry import app, main

__all__ = ["app", "main"]
