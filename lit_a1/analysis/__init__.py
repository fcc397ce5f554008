"""What trained networks do, and how they compare."""
