"""The commands, a file for each group: a command reads its options, makes a few calls of the public API, and prints.

Every option is a word of ``Settings`` or of the Python interface; nothing is computed that Python could not.
"""

from crossloss.cli.entry import app, main

__all__ = ["app", "main"]
