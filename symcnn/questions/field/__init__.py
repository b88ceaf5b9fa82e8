"""What an output place sees of the input."""
