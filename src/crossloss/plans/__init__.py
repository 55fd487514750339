"""Plans: tables of (sample, weight) that say what to train with next.

Belongs here: making a plan from scores, one-step or fitted by retraining; what a plan costs and what it is worth.
Does not: how a model is trained (run), how well scores predict (fidelity).
"""
