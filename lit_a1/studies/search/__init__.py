"""Hyper-parameter search, for the CNNs and for the numpy network."""
