"""`python -m lit_a1` is `python main.py`."""

from lit_a1.cli import main

if __name__ == "__main__":
    main()
