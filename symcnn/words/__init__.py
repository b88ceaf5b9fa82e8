"""An answer as text, table, LaTeX, code."""
