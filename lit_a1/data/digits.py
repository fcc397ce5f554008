"""The former name of `lit_a1.data.sources.digits`."""

from lit_a1.data.sources.digits import SIDE as SIDE
