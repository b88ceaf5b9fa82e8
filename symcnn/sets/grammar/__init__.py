"""All text of users, by one bounded grammar: shapes, targets, ranges, amounts, formulas,
conditions, claims.

Text is cut into words by one table, and what has operators is read by python's own parser as a
tree of a few kinds of nodes, which are walked here: **nothing is evaluated as code**. Length,
depth, digits, powers and terms are bounded before anything is built, so every text is read or
refused in a time that is linear in its length; a refusal is a `BadSpec` that points at the place.
The same words mean the same everywhere: ``H > 3``, ``min(H, 3)``, ``H % 4 in {0, 3}``, ``rf``.
"""

from symcnn.sets.grammar.claims import QUANTITIES, Claim, parse_claim, parse_value, quantity_of
from symcnn.sets.grammar.sizes import (
    Amount,
    Between,
    Limit,
    Spec,
    Target,
    Wanted,
    check_sizes,
    parse_amount,
    parse_assignments,
    parse_numbers,
    parse_ranges,
    parse_shape,
    parse_target,
)
from symcnn.sets.grammar.text import short
from symcnn.sets.grammar.tree import (
    Ratio,
    Statement,
    parse_conditions,
    parse_formula,
    parse_statement,
)

__all__ = [
    "QUANTITIES",
    "Amount",
    "Between",
    "Claim",
    "Limit",
    "Ratio",
    "Spec",
    "Statement",
    "Target",
    "Wanted",
    "check_sizes",
    "parse_amount",
    "parse_assignments",
    "parse_claim",
    "parse_conditions",
    "parse_formula",
    "parse_numbers",
    "parse_ranges",
    "parse_shape",
    "parse_statement",
    "parse_target",
    "parse_value",
    "quantity_of",
    "short",
]
