"""Names of `lit_a1.runs.statistics`, for modules that still look for them here."""

from lit_a1.runs.statistics import ALPHA as ALPHA
from lit_a1.runs.statistics import Interval as Interval
from lit_a1.runs.statistics import McNemar as McNemar
from lit_a1.runs.statistics import difference_interval as difference_interval
from lit_a1.runs.statistics import holm as holm
from lit_a1.runs.statistics import mcnemar as mcnemar
from lit_a1.runs.statistics import mean_interval as mean_interval
