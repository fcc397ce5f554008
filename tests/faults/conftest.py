import sys

if sys.platform == "linux":  # elsewhere the tests are left out
    from tests.faults.commands import begun  # noqa: F401
