"""What a report says about itself that no record holds: author, date, repository, score on Kaggle."""

import re
from dataclasses import dataclass
from datetime import date
from typing import Literal

from lit_a1.runs.settings import UsageError


@dataclass(frozen=True)
class About:
    """What the report says about itself; None is shown as missing.

    Args:
        author: who wrote it
        date: date of the report, such as 2019-02-16 (default: today)
        repository: link to the code (default: git's remote `origin`)
        kaggle: accuracy of a submission on Kaggle's test images, from 0 to 1
        kaggle_board: the leaderboard with this accuracy
    """

    author: str | None = None
    date: str | None = None
    repository: str | None = None
    kaggle: float | None = None
    kaggle_board: Literal["public", "private"] = "private"

    def __post_init__(self) -> None:
        if self.date is not None:
            try:
                date.fromisoformat(self.date)
            except ValueError as error:
                raise UsageError(f"date must be a day such as 2019-02-16; got {self.date}") from error
        if self.repository is not None and web_link(self.repository) is None:
            raise UsageError(f"repository must be a link such as https://github.com/me/a1; got {self.repository}")
        if self.kaggle is not None and not 0 <= self.kaggle <= 1:
            raise UsageError(f"kaggle must be an accuracy from 0 to 1; got {self.kaggle}")


def web_link(remote: str) -> str | None:
    """The web page of a repository with an https or ssh address, without user and password; None for other addresses.

    >>> web_link("git@github.com:me/a1.git")
    'https://github.com/me/a1'
    """
    address = re.fullmatch(r"(?:(https?)://|ssh://)(?:[^@/\s]*@)?([\w.:-]+)/(\S+?)(?:\.git)?/?", remote)
    if address:
        scheme, host, path = address.groups()
        return f"{scheme}://{host}/{path}" if scheme else f"https://{host.partition(':')[0]}/{path}"
    short = re.fullmatch(r"(?:[\w.-]+@)([\w.-]+):(?!/)(\S+?)(?:\.git)?/?", remote)
    return f"https://{short[1]}/{short[2]}" if short else None
