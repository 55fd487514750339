"""Scikit-learn's digits as tensors, for venvs without it: run by the venv that has it."""

from pathlib import Path

import torch
from sklearn.datasets import load_digits

digits = load_digits()
kept = {"x": torch.tensor(digits.data, dtype=torch.float32) / 16, "y": torch.tensor(digits.target)}
torch.save(kept, Path(__file__).parent / ".venvs" / "load_digits.pt")
