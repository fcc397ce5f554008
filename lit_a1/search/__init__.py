"""Hyper-parameter search for the CNNs: Optuna proposes settings, and each trial is a `fit` with them."""
