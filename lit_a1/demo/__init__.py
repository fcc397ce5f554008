"""A page to play with, on this machine: draw a digit, drop a photo, compare two networks, watch one learn.

`page` lays out the page, `server` serves it, and `networks` finds what was trained. `digits`, `photos`, `compare` and
`learning` compute the answers of one tab each, as values for the HTML templates beside them, independent of Gradio.
"""
