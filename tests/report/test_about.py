"""What a report says of itself: by options, by a YAML, and on its first page."""

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from lit_a1.cli import main
from lit_a1.commands import report
from lit_a1.report.about import About, web_link
from lit_a1.report.build import front
from tests.conftest import CONFIGS, Refusal
from tests.report.conftest import LOGS


@pytest.mark.parametrize(
    ("remote", "link"),
    [
        ("https://github.com/me/a1.git", "https://github.com/me/a1"),
        ("https://github.com/me/a1/", "https://github.com/me/a1"),
        ("https://me:secret@git.example.org:8443/group/a1.git", "https://git.example.org:8443/group/a1"),
        ("git@github.com:me/a1.git", "https://github.com/me/a1"),
        ("ssh://git@git.example.org:2222/me/a1.git", "https://git.example.org/me/a1"),
        ("/a1", None), ("file:///a1", None), ("../a1", None), ("C:/me/a1", None), ("", None),
        ("foo", None), ("https://github.com", None), ("javascript://x/y", None),
    ],
)  # fmt: skip
def test_a_remote_becomes_a_link_without_user_and_password(remote: str, link: str | None) -> None:
    assert web_link(remote) == link


@pytest.fixture
def given(monkeypatch: pytest.MonkeyPatch) -> Callable[..., About]:
    """What `report` with options says of itself; nothing is built."""
    LOGS.mkdir()

    def give(*options: str) -> About:
        received: list[About] = []
        monkeypatch.setattr("lit_a1.report.build.build", lambda found, out, about: received.append(about) or [])
        main(["report", *options])
        return received[0]

    return give


def test_options_a_yaml_and_what_is_taken_without_them(given: Callable[..., About]) -> None:
    nothing = given("--config", str(CONFIGS / "report.yaml"))
    assert (nothing.author, nothing.repository, nothing.kaggle) == (None, None, None)
    assert nothing.date
    assert given("--date", "2019-02-16", "--kaggle", "0.968").date == "2019-02-16"
    settings = "author: Ada\ndate: 2019-02-16\nkaggle: 0.968\nkaggle_board: public\nrepository: git@github.com:me/a1\n"
    Path("mine.yaml").write_text(settings)
    expected = About("Ada", "2019-02-16", "https://github.com/me/a1", 0.968, "public")
    assert given("--config", "mine.yaml") == expected
    assert given("--config", "mine.yaml", "--author", "Bob").author == "Bob"


def test_the_link_is_that_of_gits_origin(given: Callable[..., About], monkeypatch: pytest.MonkeyPatch) -> None:
    for words in (["init", "-q"], ["remote", "add", "origin", "git@github.com:me/a1.git"]):
        subprocess.run(["git", *words], check=True)
    assert given().repository == "https://github.com/me/a1"
    assert given("--repository", "https://gitlab.com/me/a1").repository == "https://gitlab.com/me/a1"
    monkeypatch.setenv("PATH", "")
    assert report._remote() == ""


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--kaggle", "96.8"], "kaggle must be an accuracy from 0 to 1; got 96.8"),
        (["--kaggle", "much"], "kaggle"),
        (["--date", "2019-02-30"], "date must be a day such as 2019-02-16; got 2019-02-30"),
        (["--repository", "foo"], "repository must be a link"),
        (["--kaggle_board", "secret"], "expected one of ['public', 'private']"),
        (["--config", "nowhere.yaml"], "nowhere.yaml"),
    ],
)
def test_what_can_not_be_is_told_in_a_sentence(options: list[str], words: str, refusal: Refusal) -> None:
    assert words in refusal("report", *options)
    assert not Path("report").exists()


def test_the_first_page_shows_what_is_known_and_the_option_of_what_is_not() -> None:
    lines = dict(front(About("Ada *L*", "2019-02-16", "https://x.org/a1", 0.968)))
    assert lines["Author"] == r"Ada \*L\*"
    assert (lines["Date"], lines["Repository"]) == ("2019-02-16", "<https://x.org/a1>")
    assert "96.80 %" in lines["Kaggle"]
    assert "private" in lines["Kaggle"]
    assert "commit" in lines["Made"]
    lines = dict(front(About()))
    for name in ("author", "date", "repository", "kaggle"):
        assert f"--{name}" in lines[name.capitalize()]
