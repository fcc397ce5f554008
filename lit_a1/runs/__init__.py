"""The settings of a run, its files, and how it is found again."""
