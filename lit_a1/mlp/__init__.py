"""Problem 1: a multilayer perceptron in numpy, its loop, and the assignment's studies of it."""
