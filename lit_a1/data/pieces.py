"""What an unfinished cache holds so far, so that a run can resume after one that was killed."""

import hashlib
import json
from collections.abc import Sequence
from typing import Any, BinaryIO, TextIO

from numpy.typing import NDArray

from lit_a1.data.sources.layouts import SourceImage

PIECE = 4096  # images


class Pieces:
    """The pieces of an array of images. The log has a line for each: the images done so far, and the hash of its rows.

    Args:
        rows: the file of the array, at its first row.
        log: the file of the lines.
        description: what the array is made of, and how; pieces of another array are not reused.
        length: bytes per row.
        kept: the images in the array, one per row.
        skipped: by name, why a file could not be read.
    """

    def __init__(
        self,
        rows: BinaryIO,
        log: TextIO,
        description: dict[str, Any],
        length: int,
        kept: list[SourceImage],
        skipped: dict[str, str],
    ) -> None:
        self.rows, self.log, self.description, self.length = rows, log, description, length
        self.kept, self.skipped = kept, skipped
        self.digest = hashlib.sha256()  # of the piece that is being written

    def resume(self, images: Sequence[SourceImage]) -> int:
        """Fills `kept` and `skipped` from the complete pieces, and returns how many of the images they cover.

        Everything after them is cut off.
        """
        start, done = self.rows.tell(), 0
        self.log.seek(0)
        header, *lines = self.log.readlines() or [""]
        complete_lines = [json.dumps(self.description) + "\n"]
        for line in lines if header == complete_lines[0] else []:
            try:
                piece = json.loads(line)
            except ValueError:  # half-written
                break
            digest = hashlib.sha256()
            for _ in range(len(self.kept), piece["rows"]):
                digest.update(self.rows.read(self.length))
            if digest.hexdigest() != piece["sha256"]:  # its rows did not reach the disk
                break
            left_out = piece["skipped"] if self.description["broken"] == "skip" else {}
            self.kept += [image for image in images[done : piece["images"]] if image.name not in left_out]
            self.skipped |= piece["skipped"]
            done = piece["images"]
            complete_lines.append(line)
        self.rows.seek(start + len(self.kept) * self.length)
        self.rows.truncate()
        self.log.truncate(0)
        self.log.writelines(complete_lines)
        self.log.flush()
        return done

    def add(self, row: NDArray[Any]) -> None:
        """Writes the row of the last image that was kept."""
        self.rows.write(row.data)
        self.digest.update(row.data)
        if len(self.kept) % PIECE == 0:
            left_out = len(self.skipped) if self.description["broken"] == "skip" else 0
            piece = {"images": len(self.kept) + left_out, "rows": len(self.kept), "skipped": self.skipped}
            self.rows.flush()
            print(json.dumps(piece | {"sha256": self.digest.hexdigest()}), file=self.log, flush=True)
            self.digest = hashlib.sha256()
