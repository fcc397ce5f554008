"""Hyper-parameter search, of the CNNs and of the numpy network."""
