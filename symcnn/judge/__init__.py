"""What torch says of the same network."""
