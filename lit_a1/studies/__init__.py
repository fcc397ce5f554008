"""The studies, one folder each: what is measured, the figure and the text."""
