"""Names of `lit_a1.runs.statistics`, for modules that still look for them here."""

from lit_a1.runs.statistics import Z as Z
from lit_a1.runs.statistics import wilson as wilson
