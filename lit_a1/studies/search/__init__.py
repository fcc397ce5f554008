"""Hyperparameter search for the CNNs and the numpy network."""
