"""Problem 2: a convolutional network on MNIST, against the multilayer perceptron."""

from pathlib import Path

from lit_a1.report import blocks, study
from lit_a1.report.document import Block, Section, Text
from lit_a1.report.gather import Gathered
from lit_a1.report.looking import looking
from lit_a1.report.plan import Commands

CNNS = ("mnist_plain", "mnist", "mnist_fast")
"""Without augmentation, as the perceptron; with; and a smaller one in a hurry."""


def problem2(found: Gathered, work: Path) -> Section:
    """The section, with a sub-section for each of the assignment's questions.

    Args:
        found: what has been run.
        work: a folder for figures.
    """
    there = [name for name in CNNS if found.trainings(name)]
    comparison = study.study_section(
        found.study("mnist-compare"),
        "Comparison with the perceptron",
        "mnist-comparison",
        "comparison.md",
        [
            ("curves.png", "Errors at the end of each epoch, on the training and on the validation digits."),
            ("robustness.png", "Test error on digits that were shifted, turned or covered with noise."),
            ("disagreements.png", "Test digits that one of the networks reads and the other does not."),
        ],
        Commands(found).compare().command,
        "Compare the performance of the convolutional network with that of the perceptron.",
    )
    sections = [_architecture(found, there), _curves(found, there, work), comparison]
    name = there[0] if there else CNNS[0]
    run = found.newest(name)
    folder = found.folder(name) / "version_0" if run is None else run.folder
    sections.append(looking(folder / "analysis", run, "mnist", name, Commands(found).analyze(name, run).command))
    return Section("Problem 2: a convolutional network on MNIST", "problem-2", [], sections)


def _architecture(found: Gathered, there: list[str]) -> Section:
    parts: list[Block] = [
        Text("*Design a convolutional network with about as many parameters as the perceptron; describe it.*")
    ]
    name = there[0] if there else CNNS[0]
    run, mlp = found.newest(name), found.newest("mlp")
    if run is not None:
        count = run.record["parameters"]
        words = f"`{name}` has {count:,} parameters"
        if mlp is not None:
            words += f", {100 * (count / mlp.record['parameters'] - 1):+.2f} % against the perceptron's "
            words += f"{mlp.record['parameters']:,}"
        parts.append(Text(f"{words}."))
    parts += blocks.layers(run, name)
    return Section("Architecture", "cnn-architecture", parts)


def _curves(found: Gathered, there: list[str], work: Path) -> Section:
    parts: list[Block] = [Text("*Plot training and validation errors at the end of each epoch.*")]
    parts += blocks.trainings(found, CNNS[:2], there, "validation digits", work)
    return Section("Training", "cnn-training", parts)
