"""The studies, one folder each: measurements, figure and text."""
