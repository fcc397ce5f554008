"""Initializations of the numpy network, compared."""
