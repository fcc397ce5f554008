"""Entry point: `python main.py --help` lists the commands."""

from lit_a1.cli import main

if __name__ == "__main__":
    main()
