"""One file a command: options are parsed, the work is called, what it found is printed."""
