"""Problem 1: the multilayer perceptron in numpy."""

from pathlib import Path

from lit_a1.report import blocks, study
from lit_a1.report.document import Block, Section, Text
from lit_a1.report.gather import Gathered
from lit_a1.report.plan import Commands

GOAL = 0.03  # the validation error that the assignment asks for
RANGE = (500_000, 1_000_000)  # parameters, likewise


def problem1(found: Gathered, work: Path) -> Section:
    """The section, with a sub-section for each of the assignment's questions.

    Args:
        found: what has been run.
        work: a folder for figures.
    """
    commands = Commands(found)
    return Section(
        "Problem 1: a multilayer perceptron on MNIST, in numpy",
        "problem-1",
        [
            Text(
                "Forward pass, backward pass and update are written out in `lit_a1/mlp/network.py`, which imports "
                "numpy and nothing else; no gradient is taken automatically."
            )
        ],
        [
            _model(found, work),
            study.study_section(
                found.study("mlp-inits"),
                "Initialization",
                "initialization",
                "comparison.md",
                [("losses.png", "Loss over the training digits against the epoch, for the three initializations.")],
                commands.study("inits").command,
                "Train for ten epochs from zero, standard normal and Glorot weights; plot the losses; compare.",
            ),
            study.study_section(
                found.study("mlp-search"),
                "Hyper-parameter search",
                "search",
                "summary.md",
                [("search.png", "Every trial of the search: validation accuracy against the hyper-parameters.")],
                commands.study("search").command,
                "Find hyper-parameters with a validation accuracy of 97 % or more; report those that were tried.",
            ),
            study.study_section(
                found.study("mlp-gradcheck"),
                "Gradients against finite differences",
                "gradients",
                "conclusion.md",
                [
                    (
                        "differences.png",
                        "Largest difference between central differences and backpropagation against N = 1 / epsilon.",
                    )
                ],
                commands.study("gradcheck").command,
                "Validate the gradients of the first ten weights by finite differences; plot the largest difference "
                "against N.",
            ),
        ],
    )


def _model(found: Gathered, work: Path) -> Section:
    parts: list[Block] = [
        Text(
            "*Build a network of two hidden layers with 0.5 to 1.0 million parameters; implement forward and backward "
            "passes; train it.*"
        )
    ]
    runs = found.alike("mlp")
    parts += blocks.trained(found, "mlp")
    if runs:
        record = runs[-1].record
        count = record["parameters"]
        inside = "within" if RANGE[0] <= count <= RANGE[1] else "**outside**"
        parts.append(
            Text(
                f"The network: {record.get('setup', 'unknown')}. Its {count:,} parameters are {inside} the "
                f"{RANGE[0]:,} to {RANGE[1]:,} that were asked for."
            )
        )
        parts += blocks.layers(runs[-1], "mlp")
        parts += blocks.results(runs, "validation digits")
        errors = [error for run in runs if (error := blocks.final(run)) is not None]
        if errors:
            reached = sum(error <= GOAL for error in errors)
            parts.append(
                Text(f"A validation accuracy of 97 %, the assignment's goal, is reached by {reached} of {len(errors)}.")
            )
        parts.append(blocks.curves(runs, work))
    return Section("Building the model", "mlp-model", parts)
