"""What deployment asks for: the sizes a network takes, in the words of other tools."""
