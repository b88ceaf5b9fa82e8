"""The questions that people ask of a trace."""
