"""Hyperparameter search, of the CNNs and of the numpy network."""
