"""Finite differences against backpropagation."""
