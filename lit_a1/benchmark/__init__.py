"""This code against PyTorch's own, in one run."""
