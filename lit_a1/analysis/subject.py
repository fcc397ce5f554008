"""The former name of `lit_a1.analysis.network`."""

from lit_a1.analysis.network import load_network as load_subject  # noqa: F401
