"""Notations: text, tables, trees, LaTeX and Markdown, in which answers write themselves."""
