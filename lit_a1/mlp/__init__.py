"""Problem 1: a multilayer perceptron in numpy, its training loop, and the options of its commands."""
