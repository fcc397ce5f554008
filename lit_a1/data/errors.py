"""The error that a dataset's problems end in."""


class DataError(Exception):
    """A problem with the data on disk or on the network, told to the user in one sentence."""
