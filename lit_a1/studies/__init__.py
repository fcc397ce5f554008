"""One folder a study: measured, drawn, told in words."""
