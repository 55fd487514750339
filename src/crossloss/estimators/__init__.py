"""Ways to compute scores, one a file; they know the field and nothing else of the model.

Belongs here: unrolled, gradient dot, and later inverse-Hessian estimators with their solvers.
Does not: anything that names words, sentences or modules.
"""
