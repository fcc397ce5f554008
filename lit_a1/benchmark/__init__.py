"""This code beside PyTorch's own, in one run."""
