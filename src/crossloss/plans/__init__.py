"""Plans: tables of (sample, weight) that say what to train with next.

Belongs here: making a plan from scores. Does not: retraining with it (run) or judging it (fidelity).
"""
