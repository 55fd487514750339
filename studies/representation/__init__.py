"""The representation study: which training rows moved the bias of a transformer, checked by retraining, and repaired.

Belongs here: a small BERT trained from nothing, a sentence encoder that is fine-tuned, and what is asked of both.
"""
