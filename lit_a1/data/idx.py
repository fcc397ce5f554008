"""The former place of `lit_a1.data.sources.mnist.read_idx`."""

from lit_a1.data.sources.mnist import read_idx as read_idx
