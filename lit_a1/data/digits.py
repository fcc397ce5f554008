"""The former name of `lit_a1.data.sources.drawn`."""

from lit_a1.data.sources.drawn import SIDE as SIDE
