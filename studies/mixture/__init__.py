"""The mixture study: a deep clustering of three Gaussians, where every score can be checked by retraining.

(Paper Sec. 4.1, Figs. 2 and 5.) Belongs here: the data, the model with its two losses, retraining without each
sample, the paper's own protocol, tables and figures. Does not: estimators of use elsewhere, fields, optimisers.
"""
