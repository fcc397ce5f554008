"""What a run is set to, what it leaves behind, and how it is found again."""
