"""Pictures: layers and networks as SVG and TikZ text, figures of sizes, costs, domains and fields.

A drawing is a function of numbers that a question has answered: nothing here computes a size.
Figures need matplotlib (the extra ``plot``), drawings need nothing.
"""
