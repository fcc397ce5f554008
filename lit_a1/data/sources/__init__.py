"""Where pictures come from: folders and zip files in the layouts they are published in, downloads, drawings."""

from lit_a1.data.sources.layouts import Source, data_root, find_test, find_train

__all__ = ["Source", "data_root", "find_test", "find_train"]
