"""Claims: other people's figures and formulas, checked.

A claim names a quantity of a part of the network and says what it is: a number, numbers per axis,
or a formula. It is right if it holds at the sizes given, or, without sizes, at every valid size: a
formula is compared with the closed form as a *set* of sizes, so a missing floor shows as the sizes
at which nothing was lost. A wrong figure is traced back: it *follows* if the layers in between turn
an earlier wrong figure into it, and is wrong in itself otherwise.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any

from symcnn.algebra.axis import Scatter, Window
from symcnn.algebra.expr import from_sympy
from symcnn.algebra.factor import text
from symcnn.algebra.size import Int, Size, Symbol, evaluate, floordiv, prod, symbols_of
from symcnn.errors import BadSpec, NoSolution, SymcnnError, Undecidable
from symcnn.lazy import sympy
from symcnn.questions.explain import Line, Step, Tree
from symcnn.questions.explain.paths import path_of
from symcnn.questions.explain.size import size_step
from symcnn.questions.field.receptive_field import receptive_field
from symcnn.questions.inputs.solve import solve
from symcnn.sets.condition import Condition
from symcnn.sets.grammar import Claim, Ratio, check_sizes, parse_claim, parse_value
from symcnn.shown import Shown, assignment
from symcnn.trace.graph import Node, SymbolicTensor
from symcnn.trace.trace import Trace, of_one_image


@dataclass(frozen=True, slots=True)
class Verdict(Shown):
    """What became of one claim.

    claimed, true: as text. why: the step that gives the true value, checked. follows: the earlier
    wrong claim that this one was computed from. holds: what would make it true.
    """

    claim: str
    right: bool
    claimed: str
    true: str
    where: str = ""
    why: str = ""
    follows: str = ""
    holds: str = ""

    def __str__(self) -> str:
        if self.right:
            return f"right  {self.claim}"
        parts = [f"wrong  {self.claim}: it is {self.true}"]
        if self.why and not self.follows:
            parts.append(f"because {self.why}")
        if self.follows:
            parts.append(f"follows from {self.follows}")
        if self.holds:
            parts.append(self.holds)
        return "; ".join(parts)


@dataclass(frozen=True, slots=True)
class Report(Shown):
    """The verdicts in the order of the claims; true if every claim is right."""

    verdicts: tuple[Verdict, ...]

    def __bool__(self) -> bool:
        return all(v.right for v in self.verdicts)

    def __iter__(self) -> Any:
        return iter(self.verdicts)

    def __getitem__(self, claim: str) -> Verdict:
        for verdict in self.verdicts:
            if claim in (verdict.claim, verdict.claim.partition("=")[0].strip()):
                return verdict
        raise KeyError(claim)

    @property
    def wrong(self) -> tuple[Verdict, ...]:
        """The wrong ones."""
        return tuple(v for v in self.verdicts if not v.right)

    @property
    def first(self) -> Verdict | None:
        """The first claim that is wrong in itself, from which others may follow."""
        return next((v for v in self.wrong if not v.follows), None)

    def __str__(self) -> str:
        return "\n".join(map(str, self.verdicts))


def check(
    net: Trace,
    claims: Mapping[str, object] | Iterable[str | Claim],
    at: Mapping[str, int] | None = None,
) -> Report:
    """Other people's figures and formulas, right or wrong, claim by claim.

    Args:
        net: the network that they are about.
        claims: text such as ``"conv1 = 55"``, ``"shape(pool2) = 256x13x13"``, ``"flatten = 9216"``,
            ``"params(fc1) = 16416"``, ``"field(layer4) = 427"``, ``"size(conv1) = (H - 11)/4 +
            1"``; or a mapping from what stands left of the equals sign to a number, numbers, text,
            or expression. A formula about a layer may use its own letters: x (input size), k, s, p,
            d, c_in, c_out, g, h_in, w_in, h_out, w_out.
        at: the sizes at which figures are meant, where a batch that is not given is 1. Formulas are
            checked for all valid sizes, and for the batch of `at` unless they name it.

    Returns:
        A verdict per claim: the true value, the step, and what would make the claim true.

    Raises:
        BadSpec: for text outside the grammar (it is never evaluated as code), and for nodes and
            sizes that do not exist.

    >>> import symcnn
    >>> from symcnn import nn
    >>> net = nn.Sequential(nn.Conv2d(3, 8, 3, stride=2), nn.ReLU()).trace("N 3 H W")
    >>> print(symcnn.check(net, {"0": 112, "params": 224}, at={"H": 224, "W": 224}))
    wrong  0 = 112: it is 111; because floor((224 - 3)/2) + 1 = 111; true for 225 <= H <= 226 and 225 <= W <= 226
    right  params = 224
    """  # noqa: E501
    sizes = check_sizes(at or {}, net.accepted_symbols(at or {}))
    checker = _Checker(net, sizes if at is None else of_one_image(net, sizes))
    verdicts = [checker.verdict(_claim(claim)) for claim in _claim_list(claims)]
    return Report(tuple(verdicts))


def _claim_list(claims: Any) -> list[Any]:
    if isinstance(claims, str):
        raise BadSpec("claims are several", cure='check(net, ["conv1 = 55"])')
    return list(claims.items()) if isinstance(claims, Mapping) else list(claims)


def _claim(given: Any) -> Claim:
    if isinstance(given, str):
        return parse_claim(given)
    if not isinstance(given, tuple) or len(given) != 2 or not isinstance(given[0], str):
        raise BadSpec(f"{given!r} is not a claim", cure='"conv1 = 55", or {"conv1": 55}')
    name, value = given
    head = parse_claim(f"{name} = 0")
    if isinstance(value, str):
        parts = parse_value(value)
    elif isinstance(value, (tuple, list)):
        parts = tuple(_ratio(v) for v in value)
    else:
        parts = (_ratio(value),)
    shown = "x".join(map(_shown, parts))
    return replace(head, text=f"{name} = {value if isinstance(value, str) else shown}", value=parts)


def _ratio(value: Any) -> Ratio:
    if isinstance(value, (int, Size)) and not isinstance(value, bool):
        return value, 1
    if isinstance(value, sympy.Basic):
        num, den = sympy.fraction(sympy.together(value))
        return from_sympy(num), from_sympy(den)
    if hasattr(value, "__index__") and not isinstance(value, bool):
        return int(value), 1
    if isinstance(value, (float, Fraction)):
        exact = Fraction(value)
        return exact.numerator, exact.denominator
    raise BadSpec(f"{value!r} is not a number, text or expression")


def _beside(sizes: Iterable[str]) -> str:
    """``7x7``; formulas stand apart, ``H//2 - 2 x W//2 - 2``."""
    told = [*sizes]
    return (" x " if any(" " in size for size in told) else "x").join(told)


def _shown(value: Ratio) -> str:
    num, den = value
    if den == 1:
        return text(num)
    if isinstance(num, int) and isinstance(den, int):
        return f"{num / den:g}"
    return f"({text(num)})/{den if isinstance(den, int) else f'({text(den)})'}"


@dataclass(frozen=True, slots=True)
class _Found:
    """A quantity of the network: its value per axis, and the node that it is of."""

    value: tuple[Int, ...]
    node: Node | None = None
    spatial: bool = False  # one size per spatial axis: a single claimed number is meant for each


class _Checker:
    def __init__(self, net: Trace, sizes: dict[str, int]) -> None:
        self.net, self.sizes = net, sizes
        self.wrong: list[tuple[Node, tuple[int, ...], str]] = []  # figures claimed wrongly

    def verdict(self, claim: Claim) -> Verdict:
        part = self.part(claim.where)
        found = self.found(claim, part)
        claimed = claim.value
        if len(claimed) == 1 and len(found.value) > 1 and (found.spatial or not claim.quantity):
            claimed = claimed * len(found.value)
        if len(claimed) != len(found.value):
            raise BadSpec(
                f"{claim.text}: {len(claimed)} value(s) claimed of {len(found.value)}",
                cure=f"it has the form {'x'.join(map(text, found.value))}",
            )
        claimed = tuple(self.bound(value, found, part, i) for i, value in enumerate(claimed))
        self.require_names(claim, claimed)
        figures = self.sizes and all(symbols_of(v) <= set(self.sizes) for v in found.value)
        numbers = all(isinstance(a, int) and isinstance(b, int) for a, b in claim.value)
        if figures and numbers:
            return self.figure(claim, part, found, claimed)
        return self.formula(claim, part, found, claimed)

    # what is meant

    def part(self, where: str) -> Trace:
        return self.net.at(where) if where else self.net

    def found(self, claim: Claim, part: Trace) -> _Found:
        quantity = claim.quantity
        tensor = part.output_tensors[0]
        node = tensor.node
        dims = tensor.dims
        if not quantity:
            spatial = len(dims) > 2 and len(claim.value) <= len(dims) - 2
            quantity = "size" if spatial else "shape"
        if quantity in ("params", "macs", "flops"):
            inside = self.inside(claim.where) if claim.where else None
            return _Found((self.cost(quantity, inside),), node)
        if quantity == "flatten":
            before = self.net.before_flatten().output_tensors[0]
            return _Found((prod(before.dims[1:]),), before.node)
        if quantity == "features":
            return _Found((prod(dims[1:]),), node)
        if quantity == "channels":
            return _Found((dims[1],), node)
        if quantity == "shape":
            return _Found(dims[1:], node)
        if quantity == "size":
            if len(dims) < 3:
                raise BadSpec(
                    f"{claim.text}: {part.describe_output()} is no map", cure="shape(...)"
                )
            return _Found(dims[2:], node, spatial=True)
        field = receptive_field(part)
        seen = field.size if quantity == "field" else field.stride
        return _Found(tuple(map(from_sympy, seen)), node, spatial=True)

    def inside(self, where: str) -> list[Node]:
        """The nodes of a module, or the node of that name."""
        nodes = [n for n in self.net.nodes if n.module == where or n.module.startswith(f"{where}.")]
        return nodes or [n for n in self.net.nodes if n.name == where]

    def cost(self, quantity: str, nodes: Sequence[Node] | None) -> Int:
        if nodes is None:
            return from_sympy(getattr(self.net, quantity))
        if quantity == "params":
            weights = dict.fromkeys(p for node in nodes for p in node.parameters)
            return sum((p.count for p in weights), 0)
        return sum((node.result.work for node in nodes), 0) * (2 if quantity == "flops" else 1)

    def bound(self, value: Ratio, found: _Found, part: Trace, axis: int) -> Ratio:
        """A claimed formula with the layer's own letters replaced by what they stand for."""
        spelled = self.net.spelled
        value = tuple(v.subs(spelled) if isinstance(v, Size) else v for v in value)  # type: ignore[assignment]
        names = symbols_of(*value) - self.net.free_symbols - set(spelled)
        if not names or found.node is None:
            return value
        letters = _letters(found.node, axis)
        values = {name: letters[name.lower()] for name in names if name.lower() in letters}
        return tuple(v.subs(values) if isinstance(v, Size) else v for v in value)  # type: ignore[return-value]

    def require_names(self, claim: Claim, claimed: Sequence[Ratio]) -> None:
        names = symbols_of(*(v for pair in claimed for v in pair))
        unknown = names - self.net.accepted_symbols(names)
        if unknown:
            listed = ", ".join(sorted(self.net.free_symbols | self.net.parameter_symbols))
            raise BadSpec(
                f"{claim.text}: {', '.join(sorted(unknown))} is no size of the network",
                cure=f"the sizes are {listed}; a layer's own letters are x, k, s, p, d, c_in, ...",
            )

    # verdicts

    def figure(self, claim: Claim, part: Trace, found: _Found, claimed: Sequence[Ratio]) -> Verdict:
        values = tuple(Fraction(a, b) for a, b in claimed)  # type: ignore[arg-type]
        true = tuple(evaluate(v, self.sizes) for v in found.value)
        shown, said = (
            "x".join(map(str, dict.fromkeys(true) if found.spatial else true)),
            claim.value,
        )
        base = Verdict(claim.text, values == true, "x".join(map(_shown, said)), shown, claim.where)
        if base.right or found.node is None:
            return base
        why = self.because(claim, found, true)
        follows = self.follows(claim, found, values)
        if found.spatial and all(v.denominator == 1 for v in values):
            whole = tuple(int(v) for v in values)
            self.wrong.append((found.node, whole, claim.text))
        return replace(base, why=why, follows=follows, holds=self.holds(claim, part, values))

    def because(self, claim: Claim, found: _Found, true: Sequence[Int]) -> str:
        """The step that gives the true value, with numbers, checked."""
        node = found.node
        assert node is not None
        if found.spatial and claim.quantity not in ("field", "stride"):
            try:
                link = path_of(self.net.at(node.name), 2)[-1]
            except SymcnnError:
                return ""
            if link.taken:
                return ""
            before, after = (evaluate(v, self.sizes) for v in (link.before, link.after))
            numbers = replace(link, map=link.map.at(self.sizes), before=before, after=after)
            step = size_step(self.net, numbers, "")
            return " = ".join(map(str, step.lines))
        if claim.quantity == "flatten" or (
            claim.quantity == "features" and node.outputs[0].ndim > 2
        ):
            dims = [evaluate(d, self.sizes) for d in node.outputs[0].dims[1:]]
            product = Tree("product", tuple(map(Tree.leaf, dims)))
            step = Step(node.name, "", "rule", (Line(product), Line(Tree.leaf(true[0]))))
            return f"{node.name} gives " + " = ".join(map(str, step.lines))
        if claim.quantity == "params":
            inside = self.inside(claim.where) if claim.where else []
            weights = dict.fromkeys(p for n in inside for p in n.parameters)
            if 0 < len(weights) <= 4:
                tree = Tree.of("sum", *(Tree.of("product", *p.dims) for p in weights))
                return f"{tree} = {true[0]}"
        return ""

    def follows(self, claim: Claim, found: _Found, values: Sequence[Fraction]) -> str:
        """The earlier wrong figure from which the layers in between make this one."""
        node = found.node
        assert node is not None
        lead = node.outputs[0].dims[1:-2]
        for earlier, said, label in reversed(self.wrong):
            try:
                sizes = [
                    _carried(self.net, earlier.outputs[0], node, axis + 2, size)
                    for axis, size in enumerate(said)
                ]
            except SymcnnError:
                continue
            if None in sizes:
                continue
            shape = [*(evaluate(d, self.sizes) for d in lead), *sizes]
            product: list[Any] = [prod(s or 0 for s in shape)]
            if found.spatial and earlier is not node and claim.quantity in ("", "size"):
                made: Sequence[Any] = sizes
            elif claim.quantity in ("", "shape"):
                made = shape
            elif claim.quantity in ("flatten", "features"):
                made = product
            else:
                continue
            if [*made] == [*values]:
                return label
        return ""

    def holds(self, claim: Claim, part: Trace, values: Sequence[Fraction]) -> str:
        """The inputs for which the claimed figure is right."""
        if any(v.denominator != 1 or v < 1 for v in values):
            return "no input gives a fraction" if any(v.denominator != 1 for v in values) else ""
        whole = tuple(int(v) for v in values)
        square = self.sizes.get("H") is not None and self.sizes.get("H") == self.sizes.get("W")
        try:
            if claim.quantity == "flatten":
                return f"true for {solve(self.net, flatten=whole[0], square=square).describe()}"
            if claim.quantity in ("", "size", "shape") and len(part.output_dims) > 2:
                return f"true for {solve(part, output=whole).describe()}"
        except NoSolution:
            return "true for no input"
        except SymcnnError:
            return ""
        return ""

    def formula(
        self, claim: Claim, part: Trace, found: _Found, claimed: Sequence[Ratio]
    ) -> Verdict:
        """A formula against the closed form, for all valid sizes; of the batch of `at`, unless it
        names one.
        """
        named = symbols_of(*(v for pair in claimed for v in pair))
        batch = {n: self.sizes[n] for n in self.net.batch - named if n in self.sizes}
        value = tuple(v.subs(batch) if isinstance(v, Size) else v for v in found.value)
        found = replace(found, value=value)
        true = _beside(map(text, dict.fromkeys(found.value)))
        said = "x".join(map(_shown, dict.fromkeys(claimed)))
        base = Verdict(claim.text, True, said, true, claim.where)
        gaps = [a - b * v for (a, b), v in zip(claimed, found.value, strict=True)]
        if all(gap == 0 for gap in gaps):
            return base
        pairs = zip(claimed, found.value, strict=True)
        if all(floordiv(a, b) == v for (a, b), v in pairs):
            base = replace(base, why="a floor is missing")
        equal = [Condition(gap, "==", 0) for gap in gaps if gap != 0]
        try:
            domain = part.valid_inputs()
            right = domain.where(*equal)
            if domain <= right:
                return replace(base, why="")
        except (Undecidable, KeyError):
            counter = _counterexample(gaps)
            if counter is None:
                raise Undecidable(
                    f"{claim.text}: whether it equals {true} for all sizes is not decided",
                    cure="check it at sizes, with at=...",
                ) from None
            return replace(base, right=False, holds=f"not so at {counter}")
        holds = f"true for {right.describe()}" if right else "true for no input"
        return replace(base, right=False, holds=holds)


def _counterexample(gaps: Sequence[Int]) -> str | None:
    """Small sizes at which the formulas differ."""
    names = sorted(symbols_of(*gaps))
    for value in range(1, 60):
        at = {name: value + 2 * i for i, name in enumerate(names)}
        try:
            if any(evaluate(gap, at) != 0 for gap in gaps):
                return assignment(at)
        except (SymcnnError, ZeroDivisionError):
            continue
    return None


def _letters(node: Node, axis: int) -> dict[str, Int]:
    """A layer's own letters: input size, kernel, stride, padding, dilation, channels."""
    letters: dict[str, Int] = {}
    weight = next((p for p in node.parameters if p.ndim > 1), None)
    source = node.activations[0] if node.activations else None
    space = axis + 2
    if weight is not None and node.op.startswith("conv"):
        letters["k"] = weight.dims[min(space, weight.ndim - 1)]
        letters["c_out"] = weight.dims[0]
        if source is not None and source.ndim > 1:
            letters["c_in"] = source.dims[1]
            letters["g"] = _divided(source.dims[1], weight.dims[1])
    elif weight is not None and weight.ndim == 2:
        letters["c_out"], letters["c_in"] = weight.dims
    if source is not None and space < source.ndim:
        letters["x"] = source.dims[space]
        letters["h_in"], letters["w_in"] = source.dims[-2], source.dims[-1]
        output = node.outputs[0].dims
        letters["h_out"], letters["w_out"] = output[-2], output[-1]
    axes = node.result.axes or ()
    axis_map = axes[space][1] if space < len(axes) else None
    if isinstance(axis_map, (Window, Scatter)):
        letters["s"] = axis_map.stride
        letters["p"] = axis_map.left if isinstance(axis_map, Window) else axis_map.padding
        kernel = letters.setdefault("k", axis_map.extent)
        letters["d"] = _divided(axis_map.extent - 1, kernel - 1) if kernel != 1 else 1
    return letters


def _divided(num: Int, den: Int) -> Int:
    from symcnn.algebra.size import exact_or_fail

    try:
        return exact_or_fail(num, den)
    except ValueError:
        return Symbol("d").size()


def _carried(net: Trace, source: SymbolicTensor, node: Node, axis: int, size: int) -> Int | None:
    """What the layers from `source` to `node` make of a size."""
    links = path_of(net.at(node.name), axis)
    places = [i for i, link in enumerate(links) if link.tensor is source]
    if not places:
        return None
    here: Int = size
    for link in links[places[-1] + 1 :]:
        here = link.map.size(here)
    return here
