"""Comparison of the numpy network and the CNNs on MNIST, from recorded runs."""
