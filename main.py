"""Entry point: `python main.py --help` lists the commands."""

import sys

if sys.version_info < (3, 11):  # noqa: UP036  # before anything is imported that older ones can't read
    sys.exit("error: lit_a1 needs Python 3.11 or newer; this is " + sys.version.split()[0])

from lit_a1.cli import main

if __name__ == "__main__":
    main()
