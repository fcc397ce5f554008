"""The report: what recorded runs say, question by question, as HTML and PDF."""
