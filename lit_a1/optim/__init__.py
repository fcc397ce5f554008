"""Hand-written optimisers, learning rate schedules, weight averaging, gradient norms, sharpness-aware steps."""

from lit_a1.optim.adam import Adam
from lit_a1.optim.average import WeightAverage
from lit_a1.optim.factory import OPTIMIZERS, OptimizerName, make_optimizer, parameter_groups
from lit_a1.optim.gradients import clip_gradient_norm_, gradient_norm
from lit_a1.optim.muon import Muon
from lit_a1.optim.schedule import SCHEDULES, Schedule, ScheduleName, set_learning_rate
from lit_a1.optim.sgd import SGD
from lit_a1.optim.sharpness import sam_perturbation

__all__ = [
    "OPTIMIZERS",
    "SCHEDULES",
    "SGD",
    "Adam",
    "Muon",
    "OptimizerName",
    "Schedule",
    "ScheduleName",
    "WeightAverage",
    "clip_gradient_norm_",
    "gradient_norm",
    "make_optimizer",
    "parameter_groups",
    "sam_perturbation",
    "set_learning_rate",
]
