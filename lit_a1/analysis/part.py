"""The former name of `lit_a1.analysis.result`."""

from lit_a1.analysis.result import INDEX, AnalysisResult as Part, read_result as read_part  # noqa: F401, I001
