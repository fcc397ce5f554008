"""One file for each command: it parses options, calls the work and prints the results."""
