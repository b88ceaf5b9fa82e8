"""What a network leaves behind: nodes in order, made again under a substitution."""
