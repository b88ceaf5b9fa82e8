"""Formulas of sets: the input sizes in terms of the symbols of a target."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from symcnn.errors import InvalidInput
from symcnn.sets.fewer import tied
from symcnn.sets.inputset import InputSet
from symcnn.sets.isl import parts, question
from symcnn.sets.region import Region
from symcnn.sets.words import constraints, solved


class Relation(InputSet):
    """A formula: input sizes in terms of the symbols of a target, `parameters`.

    Such as ``32*h - 31 <= H <= 32*h``, what `Network.solve` says for ``output=("h", "w")``. A
    member gives the parameters first. `given` puts numbers in.

    >>> from symcnn.algebra.size import Size
    >>> from symcnn.sets.condition import Condition
    >>> from symcnn.sets.inputset import input_set
    >>> h, H = Size.symbol("h"), Size.symbol("H")
    >>> formula = Relation(["h"], input_set(["h", "H"], [Condition((H + 31)//32, "==", h)]))
    >>> formula, formula.given(h=7), formula.possible
    (32*h - 31 <= H <= 32*h, 193 <= H <= 224, h >= 1)
    """

    def __init__(self, parameters: Sequence[str], members: InputSet) -> None:
        super().__init__(members.names, members._sides, batch=members.optional, at=members.at)
        self.parameters = tuple(parameters)

    def __reduce__(self) -> Any:
        return Relation, (self.parameters, self.axis(*self.names)), self._beside

    @property
    def possible(self) -> InputSet:
        """The values of the parameters for which there is an input."""
        return self.axis(*self.parameters)

    def given(self, **sizes: int) -> InputSet:
        """The input sizes at numbers in place of symbols, as `InputSet.given`.

        Raises:
            InvalidInput: for a symbol of the target that is less than 1: the formula is of others.
        """
        for name in self.parameters:
            if int(sizes.get(name, 1)) < 1:
                raise InvalidInput(
                    f"{name}={sizes[name]}: the symbols of a target are at least 1",
                    cure="solve for the number itself",
                )
        return super().given(**sizes)

    @question
    def _in_few_words(self) -> str:
        if not self:
            return f"no size{'s' * (len(self.shown) > 1)} {' and '.join(self.shown)}"
        texts = [
            text for side in self._view._sides for text in self._formulas(side.names, side.isl)
        ]
        return " and ".join(f"({t})" if " or " in t and len(texts) > 1 else t for t in texts)

    def _formulas(self, names: Sequence[str], members: Any) -> Iterator[str]:
        """One formula, or one for each group of names: h says H and w says W."""
        whole = InputSet(names, members)
        ties = (c.symbols for part in parts(members) for c in constraints(names, part))
        sides = tuple(whole.axis(*group)._whole for group in tied(names, ties))
        if not Region.product(names, sides).is_equal(whole._whole):
            sides = (whole._whole,)
        for side in sides:
            if text := self._formula(side.names, side.isl):
                yield text

    def _formula(self, names: Sequence[str], members: Any) -> str:
        unknown = [n for n in names if n not in self.parameters]
        texts = [" and ".join(solved(constraints(names, part), unknown)) for part in parts(members)]
        return " or ".join(f"({t})" if len(texts) > 1 else t for t in texts)
