"""``python -m crossloss``, and so ``torchrun -m crossloss``: the commands."""

from crossloss.cli import main

main()
