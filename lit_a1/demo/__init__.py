"""A page to play with, on this machine: draw a digit, drop a photo, compare two networks, watch one learn.

`page` says what stands where, `server` serves it, and `networks` finds what was trained. `digits`, `photos`, `compare`
and `learning` hold the answers of a tab each: numbers for a template of HTML beside them. They know nothing of Gradio.
"""
