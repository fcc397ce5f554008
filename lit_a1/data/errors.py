"""The error for problems with data."""


class DataError(Exception):
    """A problem with the data on disk or on the network, told to the user in one sentence."""
