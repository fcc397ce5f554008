"""Finds what is wrong with a dataset: unreadable, copied, contradictory, blank and odd images."""

from collections.abc import Iterable, Iterator
from dataclasses import astuple, dataclass, fields
from pathlib import Path, PurePosixPath

import numpy as np
from numpy.typing import NDArray

from lit_a1.data.cache import groups_of_copies, map_in_threads, pixel_hash
from lit_a1.data.contact_sheet import Section, Tile, contact_sheet
from lit_a1.data.decode import ENORMOUS, SUFFIXES_OF, Header, decode, read_header
from lit_a1.data.errors import DataError
from lit_a1.data.files import replacing, write_csv
from lit_a1.data.sources.layouts import Source, SourceImage

PROBLEMS = {
    "unreadable": "The file cannot be decoded",
    "conflicting labels": "Exact copies that carry different labels",
    "copies in train and test": "Exact copies of which some are in the training set and some in the test set",
    "copies in train": "Exact copies within the training set",
    "copies in test": "Exact copies within the test set",
    "near-constant": "Hardly anything but one colour",
    "greyscale": "Stored without colour",
    "mode": "Stored neither as RGB nor as greyscale",
    "format": "Another format than the file's name says",
    "rotated": "Turned or mirrored by its EXIF orientation",
    "small": "Smaller than the size it is decoded to",
    "elongated": "So long that cropping its centre loses most of it",
    "enormous": "So large that decoding it takes long",
}
SIZE = 64  # pixels: height and width that images are decoded to
NEAR_CONSTANT = 8.0  # limit for the largest standard deviation of a channel, out of 255
ELONGATED = 2.5  # longer side over shorter side
MAX_TILES = 60  # most images a section of the contact sheet shows


@dataclass(frozen=True)
class Finding:
    """One problem of one image: a row of the table."""

    problem: str  # a key of `PROBLEMS`
    group: int  # number of its group of exact copies; 0 for a problem of a single image
    name: str
    part: str  # `train` or `test`
    label: str  # name of the class; empty if unlabelled
    detail: str


@dataclass(frozen=True)
class Audit:
    """What an audit found."""

    findings: list[Finding]  # by problem in the order of `PROBLEMS`, then by group, part and order in the source
    sources: dict[str, Source]  # of the parts `train` and `test`

    @property
    def groups(self) -> list[list[Finding]]:
        """The findings of each group of copies."""
        groups: dict[int, list[Finding]] = {}
        for finding in self.findings:
            groups.setdefault(finding.group, []).append(finding)
        groups.pop(0, None)
        return list(groups.values())


@dataclass(frozen=True)
class _ExaminedFile:
    """A file, readable or not, and what is wrong with it by itself."""

    name: str
    part: str
    label: str
    pixels: str  # `pixel_hash`; empty if unreadable
    oddities: list[tuple[str, str]]  # problems and their details

    def finding(self, problem: str, detail: str, group: int = 0) -> Finding:
        return Finding(problem, group, self.name, self.part, self.label, detail)


def audit(train: Source, test: Source | None = None) -> Audit:
    """Reads every file of a dataset and lists what is wrong with it.

    Copies are exact: their pixels are equal once decoded to 64x64, even if the files differ. Groups of copies are
    numbered over train and test together. Each is listed under the first of the four kinds of copies that applies.
    """
    sources = {"train": train} if test is None else {"train": train, "test": test}
    examined = [file for part, source in sources.items() for file in _examine(part, source)]
    readable = [file for file in examined if file.pixels]
    groups: dict[int, list[_ExaminedFile]] = {}
    for number, file in zip(groups_of_copies(np.array([e.pixels for e in readable])).tolist(), readable, strict=True):
        groups.setdefault(number, []).append(file)
    groups.pop(0, None)

    findings = [file.finding(*oddity) for file in examined for oddity in file.oddities]
    for number, copies in groups.items():
        problem, detail = _copies(copies)
        findings += [file.finding(problem, detail, number) for file in copies]
    findings.sort(key=lambda finding: list(PROBLEMS).index(finding.problem))  # stable sort
    return Audit(findings, sources)


def save_table(result: Audit, path: Path) -> None:
    """Writes the findings as CSV: problem, group, name, part, label, detail."""
    rows = [[str(value or "") for value in astuple(finding)] for finding in result.findings]
    write_csv(path, [field.name for field in fields(Finding)], rows)


def save_sheet(result: Audit, path: Path) -> None:
    """Writes a PNG of the images found, with a heading for each problem and copies side by side."""
    images = {(part, p.name): p for part, source in result.sources.items() for p in source.images}

    def tile(finding: Finding) -> Tile:
        source, name = result.sources[finding.part], PurePosixPath(finding.name).name
        try:
            pixels = decode(source.read(images[finding.part, finding.name]), SIZE)
        except DataError:
            return Tile(None, name, finding.detail)
        return Tile(pixels, name, f"{finding.part} {finding.label}".strip())

    sections = []
    for problem, meaning in PROBLEMS.items():
        findings = [finding for finding in result.findings if finding.problem == problem]
        groups: dict[int, list[Tile]] = {}
        for index, finding in enumerate(findings[:MAX_TILES]):
            groups.setdefault(finding.group or -index, []).append(tile(finding))
        limit_note = f"; the first {MAX_TILES} are shown" if len(findings) > MAX_TILES else ""
        if findings:
            sections.append(Section(f"{problem}: {len(findings)}", f"{meaning}{limit_note}.", list(groups.values())))
    sheet = contact_sheet("Audit of " + " and ".join(str(s.path) for s in result.sources.values()), sections)
    with replacing(path) as unfinished:
        sheet.save(unfinished, "PNG")


def _examine(part: str, source: Source) -> Iterable[_ExaminedFile]:
    def examine(image: SourceImage) -> _ExaminedFile:
        label = "" if image.label is None else source.classes[image.label]
        try:
            data = source.read(image)
            header, pixels = read_header(data), decode(data, SIZE)
        except DataError as error:
            return _ExaminedFile(image.name, part, label, "", [("unreadable", str(error))])
        oddities = list(_oddities(PurePosixPath(image.name), header, pixels))
        return _ExaminedFile(image.name, part, label, pixel_hash(pixels), oddities)

    return map_in_threads(examine, source.images, f"Auditing {source.path.name}")


def _copies(group: list[_ExaminedFile]) -> tuple[str, str]:
    """The problem that a group of copies is listed under, and its detail."""
    parts = [file.part for file in group]
    problem, detail = f"copies in {parts[0]}", f"{len(group)} copies"
    if len(set(parts)) > 1:
        problem = "copies in train and test"
        detail += f", {parts.count('train')} in train and {parts.count('test')} in test"
    if len({file.label for file in group if file.label}) > 1:
        problem = "conflicting labels"
    return problem, detail


def _oddities(name: PurePosixPath, header: Header, pixels: NDArray[np.uint8]) -> Iterator[tuple[str, str]]:
    channels = np.ascontiguousarray(pixels.reshape(-1, 3).T)  # contiguous channels: several times faster
    deviation = float(channels.std(axis=1, dtype=np.float32).max())
    shape = f"{header.width} x {header.height}"
    shorter, longer = sorted((header.width, header.height))
    if deviation < NEAR_CONSTANT:
        yield "near-constant", f"standard deviation {deviation:.1f} of 255"
    if header.mode in ("1", "L", "LA") or header.mode.startswith(("I", "F")):
        yield "greyscale", f"mode {header.mode}"
    elif header.mode != "RGB":
        yield "mode", f"mode {header.mode}"
    if name.suffix.lower() not in SUFFIXES_OF.get(header.format.replace("MPO", "JPEG"), ()):  # MPO: several JPEGs
        yield "format", header.format
    if header.orientation in range(2, 9):
        yield "rotated", f"EXIF orientation {header.orientation}"
    if shorter < SIZE:
        yield "small", shape
    if longer > ELONGATED * shorter:
        yield "elongated", shape
    if shorter * longer > ENORMOUS:
        yield "enormous", shape
