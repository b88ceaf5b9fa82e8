"""`Network`: a trace, with the names of the questions that people ask of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from html import escape
from typing import TYPE_CHECKING, Any

from symcnn.algebra.expr import Expr
from symcnn.algebra.size import symbols_of
from symcnn.errors import BadSpec, InvalidInput
from symcnn.ops.registry import OneOrMore
from symcnn.questions.place.asked import Places
from symcnn.questions.spec.asked import Specs
from symcnn.sets.grammar import Amount, Limit, Target, check_sizes
from symcnn.trace.trace import of_one_image
from symcnn.words.page.asked import Pages
from symcnn.words.pictures.asked import Pictures

if TYPE_CHECKING:
    import torch

    from symcnn.judge.report import Report
    from symcnn.questions.cost.cost import Cost
    from symcnn.questions.explain.derivation import Derivation
    from symcnn.questions.field.receptive_field import ReceptiveField
    from symcnn.questions.inputs.diagnose import Diagnosis
    from symcnn.questions.inputs.domain import Reason
    from symcnn.questions.inputs.nearest import Nearest
    from symcnn.questions.proof.prove import Proof
    from symcnn.questions.summary import Summary


class Network(Places, Specs, Pages, Pictures):
    """A network as an algebra: every answer holds for all sizes at once.

    Made by `symcnn.from_torch`, by ``trace`` on a `symcnn.nn` module, or from tensors:

    >>> import symcnn
    >>> from symcnn import nn
    >>> x = symcnn.tensor("N 3 H W")
    >>> net = Network(inputs=x, outputs=nn.Conv2d(3, 8, 3, stride=2, padding=1)(x))
    >>> net.output_shape
    (N, 8, (H + 1)//2, (W + 1)//2)
    >>> print(net.solve(output=(7, 7)))
    13 <= H <= 14 and 13 <= W <= 14
    """

    # shapes

    @property
    def output_shape(self) -> Any:
        """The output shape: a tuple of ints and sympy expressions (nested for several outputs)."""
        return self.outputs

    def shape_at(self, **sizes: int) -> Any:
        """The output shape at given sizes, as ints.

        Args:
            sizes: every size, by name: ``N=1, H=224, W=224``.

        Returns:
            A tuple of ints, nested for several outputs.

        Raises:
            InvalidInput: where torch would raise, or fold images into the batch.
            ShapeMismatch: for hyperparameters that a layer refuses.
            BadSpec: for a size that is missing or unknown.

        >>> from symcnn import nn
        >>> layers = nn.Conv2d(3, 8, 3, 2), nn.Flatten(), nn.Linear(392, 10)
        >>> net = nn.Sequential(*layers).trace("N 3 H W")
        >>> net.at("0").shape_at(N=1, H=33, W=65)
        (1, 8, 16, 32)
        """
        from symcnn.questions.inputs.domain import shape_at

        return shape_at(self, **sizes)

    # cost

    @property
    def macs(self) -> Expr:
        """Multiply-accumulates of all convolutions and matrix products, in N, H, W.

        Raises UnsupportedOperation for an operation whose rule does not say what it costs.
        """
        from symcnn.questions.cost.cost import total_macs

        return total_macs(self)

    @property
    def flops(self) -> Expr:
        """Two per MAC, as ``torch.utils.flop_counter`` counts."""
        from symcnn.questions.cost.cost import total_flops

        return total_flops(self)

    def cost(
        self,
        convention: str = "macs",
        *,
        partial: bool = False,
        input_grad: bool = False,
        dtype: str | None = None,
    ) -> Cost:
        """What the network costs, as formulas.

        Args:
            convention: "macs", "flops", "fvcore", "thop", "ptflops" or "torchinfo"; see
                docs/cost.md.
            partial: count operations without a cost as nothing; the total is then a lower bound.
            input_grad: the inputs require gradients too (for the backward pass).
            dtype: what activations are made of, for memory, if not what the trace says (a module in
                half, a cast, autocast); parameters have their own.

        Returns:
            ``.total``, ``.params``, ``.backward``, ``.peak`` and more, for all sizes; ``.at(...)``
            at some.

        Raises:
            BadSpec: for an unknown convention.
            UnsupportedOperation: from totals, for an operation that does not say what it costs.

        >>> from symcnn import nn
        >>> nn.Conv2d(3, 8, 3).trace("N 3 H W").cost("flops").total
        432*N*(H - 2)*(W - 2)
        """
        from symcnn.questions.cost.cost import measure

        return measure(self, convention, partial=partial, input_grad=input_grad, dtype=dtype)

    # solving

    def reasons(self) -> list[Reason]:
        """Why the domain is what it is: the requirements it cannot do without, node by node.

        Returns:
            One per requirement, with its node and what it joins.

        Raises:
            Undecidable: where the domain is no decidable set.

        >>> from symcnn import nn
        >>> layers = nn.Conv2d(3, 8, 3, 2), nn.Flatten(), nn.Linear(392, 10)
        >>> net = nn.Sequential(*layers).trace("N 3 H W")
        >>> print(net.at("0").reasons()[0])
        0: H >= 3  (the kernel must fit into the padded input)
        """
        from symcnn.questions.inputs.domain import reasons

        return reasons(self)

    def solve(
        self,
        output: Target = None,
        *,
        flatten: int | None = None,
        at: str | None = None,
        square: bool = False,
        even: bool = False,
        unread: int | None = None,
        aspect: tuple[int, int] | None = None,
        multiple_of: OneOrMore[int] | None = None,
        within: tuple[int, int] | Sequence[tuple[int, int]] | None = None,
        receptive_field: Target = None,
        macs: Limit | None = None,
        flops: Limit | None = None,
        params: Limit | None = None,
        activations: Limit | None = None,
        memory: Limit | None = None,
        saved: Limit | None = None,
        peak: Limit | None = None,
        dtype: str | None = None,
        **sizes: int | range | Sequence[int],
    ) -> Any:
        """The inputs that reach a target: ``net.solve(output=(7, 7))``. Wishes combine.

        Args:
            output: sizes of the trailing axes, each a number, None (any), a range, ``">=7"``, an
                expression in the input sizes (``(H, W)``: as large as the input, ``(H/4, W/4)``),
                or a symbol of its own (``("h", "w")``: the answer is a formula in h and w, a
                `Relation`). Text in one piece, ``"7x7"``, too. A dict gives targets for several
                modules. Where the network's output is not a map, the last map that varies with the
                input is meant; the answer's `at` names it.
            flatten: elements per image of what the network flattens.
            at: a module or node to look at instead of the output.
            square: only inputs with H = W.
            even: only sizes at which no window drops a row or uses its padding on one side only.
            unread: 0, only sizes of which every row is read by some output.
            aspect: width to height, ``(16, 9)``, exactly.
            multiple_of: ``8``, or one for each axis.
            within: ``(200, 300)``, both ends included, or one for each axis.
            receptive_field: at least so many rows and columns; ``"<=64"``, ``"64..128"``.
            macs: at most so many, ``4e9``, ``"4G"``; or ``">=1G"``, ``"1G..4G"``. Batch 1 unless
                given.
            flops: two per MAC, as `macs`.
            params: as `macs`.
            activations: bytes of all tensors that the operations make, ``"8 GiB"``; no figure in
                bytes counts parameters.
            memory: the same as `activations`.
            saved: bytes that autograd keeps for the backward pass.
            peak: bytes alive at once, at most, in inference.
            dtype: what activations are made of, for these bytes, if not what the trace says.
            sizes: fixed sizes or ranges, ``N=8``, ``W=range(1, 641)``, also of the target's
                symbols. Hyperparameters that are symbols too: ``k=3``, or ``k=range(1, 12)``,
                ``s=[1, 2]``, and then the answer is `Choices`: all solutions, simplest first, each
                with its inputs.

        Returns:
            A set of sizes: an `InputSet`, a `Relation` for a target in symbols, a set under a
            budget, or `Choices`.

        Raises:
            NoSolution: with the wishes that clash and the nearest target that has a solution.
            BadSpec: for wishes of no use.
            Undecidable: where no exact set can be given.

        >>> from symcnn import nn
        >>> layers = nn.Conv2d(3, 8, 3, 2), nn.Flatten(), nn.Linear(392, 10)
        >>> net = nn.Sequential(*layers).trace("N 3 H W")
        >>> print(net.solve(output=(7, 7)), net.solve(flatten=392, square=True), sep="; ")
        15 <= H <= 16 and 15 <= W <= 16; 15 <= H <= 16 and H == W
        """
        from symcnn.questions.inputs.solve import solve

        return solve(
            self,
            output,
            flatten=flatten,
            at=at,
            square=square,
            even=even,
            unread=unread,
            aspect=aspect,
            multiple_of=multiple_of,
            within=within,
            receptive_field=receptive_field,
            macs=macs,
            flops=flops,
            params=params,
            activations=activations,
            memory=memory,
            saved=saved,
            peak=peak,
            dtype=dtype,
            **sizes,
        )

    def nearest_valid(self, *sizes: int, **named: int) -> Nearest:
        """The nearest input that works, by padding, by cropping, by resizing.

        The pads are ready for ``F.pad``, and the crop that undoes them at the output is named where
        there is one.

        Args:
            sizes: one per axis, in the order of the spec: ``net.nearest_valid(500, 375)``.
            named: or by name: ``H=500, W=375``.

        Returns:
            ``.pad``, ``.crop`` and ``.resize``, each with the size and the line to type.

        Raises:
            NoSolution: if no input is valid.
            BadSpec: unless each axis has a size.

        >>> from symcnn import nn
        >>> net = nn.PixelUnshuffle(4).trace("N 3 H W")
        >>> print(net.nearest_valid(H=63, W=64).pad)
        pad to 64x64: F.pad(x, (0, 0, 0, 1)), and at the output y[..., 0:16, 0:16]
        """
        from symcnn.questions.inputs.nearest import nearest_valid

        shown = self.valid_inputs().shown
        if sizes and len(sizes) != len(shown):
            raise BadSpec(f"nearest_valid{sizes} needs a size for each of {', '.join(shown)}")
        apart = set(self.symbols) - set(shown)  # of which every size will do
        given = dict(zip(shown, sizes, strict=False))
        given |= {name: size for name, size in named.items() if name not in apart}
        return nearest_valid(self, check_sizes(given, frozenset(shown)))

    def diagnose(self, **sizes: int) -> Diagnosis:
        """What happens at a size: where and why it fails, and every way out.

        Where it does not fail: what goes wrong in silence, such as rows that no window reads.

        Args:
            sizes: every size, by name; a batch of 1 if not given.

        Returns:
            The failure, what torch says, ways out; or the traps.

        Raises:
            BadSpec: for a size that is missing or unknown.

        >>> from symcnn import nn
        >>> layers = nn.Conv2d(3, 8, 3, 2), nn.Flatten(), nn.Linear(392, 10)
        >>> net = nn.Sequential(*layers).trace("N 3 H W")
        >>> print(net.diagnose(H=30, W=30).ways[-1])
        change the network: self[2] = nn.Linear(1568, 10)
        """
        from symcnn.questions.inputs.diagnose import diagnose, refused

        values = self.complete_sizes(of_one_image(self, sizes))
        try:
            net = self.branch_at(**values)
        except InvalidInput as error:
            return refused(self, values, error)
        return diagnose(self, values) if net is self else replace(diagnose(net, {}), sizes=values)

    def fix(self, output: Target = None, **sizes: int) -> list[Any]:
        """What every Linear and view constant should be, as a formula and, given sizes, a number.

        Args:
            output: instead, what the last axes should be, ``("H", "W")``: the hyperparameters
                (padding, output_padding, ceil_mode) that make them so.
            sizes: every size, by name; a batch of 1 if not given.

        Returns:
            One answer per constant with the line to type, or one per way to reach the target with
            the inputs for which it is right.

        Raises:
            InvalidInput: if the sizes fail for another reason before.
            NoSolution: for a target that no such hyperparameter reaches.

        >>> from symcnn import nn
        >>> layers = nn.Conv2d(3, 8, 3, 2), nn.Flatten(), nn.Linear(392, 10)
        >>> net = nn.Sequential(*layers).trace("N 3 H W")
        >>> net.fix(H=30, W=30)[0].line
        'self[2] = nn.Linear(1568, 10)'
        """
        from symcnn.questions.inputs.fix import fixes
        from symcnn.questions.inputs.refit import refits

        if output is not None:
            return refits(self, output)
        return fixes(self, self.complete_sizes(of_one_image(self, sizes)) if sizes else None)

    def largest_batch(self, memory: Amount, *, dtype: str | None = None, **sizes: int) -> int:
        """The most images that go through at once.

        Args:
            memory: for the tensors alive at the worst moment of an inference pass (see
                `Cost.peak`), in bytes or as text, ``"8 GiB"``; parameters and the scratch memory of
                kernels come on top.
            dtype: what activations are made of, if not the dtypes of the trace.
            sizes: the other sizes, by name.

        Returns:
            A number of images.

        Raises:
            NoSolution: if not even one fits, or any number does.
            BadSpec: without a batch that is a symbol, or with a size left open.

        >>> from symcnn import nn
        >>> nn.Conv2d(3, 8, 3).trace("N 3 H W").largest_batch("8 GiB", H=224, W=224)
        3941
        """
        from symcnn.questions.inputs.solve import largest_batch

        return largest_batch(self, memory, dtype, sizes)

    # against torch

    def validate(
        self,
        module: torch.nn.Module,
        device: str = "meta",
        *,
        samples: int = 24,
        seed: int = 0,
        checks: Sequence[str] | None = None,
        dtype: str | None = None,
        channels_last: bool = False,
    ) -> Report:
        """Compare with the torch module it came from.

        Shapes at every module call, refusals, parameters, FLOPs, peak memory, and where there are
        values receptive fields and what autograd keeps.

        Args:
            module: the module; a copy of it runs.
            device: "meta", "cpu" or "cuda"; the copy goes there.
            samples: how many sizes, chosen at the borders of the domain, at ends of fibres, and at
                random inside and outside it.
            seed: reproduces them.
            checks: only these of `symcnn.judge.validate.CHECKS`.
            dtype: cast the copy and its inputs: "float16", "bfloat16", ...
            channels_last: whether inputs lie in memory with channels last.

        Returns:
            A report: true if nothing differs, with a counterexample, the smallest, if something
            does.

        Raises:
            BadSpec: for a module that is not the one traced (saying where they differ) and for a
                device that is not there.

        >>> import symcnn, torch
        >>> module = torch.nn.Conv2d(3, 8, 3, stride=2)
        >>> report = symcnn.from_torch(module, "N 3 H W").validate(module)
        >>> bool(report), report.counterexample
        (True, None)
        """
        from symcnn.judge.validate import validate

        return validate(
            self,
            module,
            device,
            samples=samples,
            seed=seed,
            checks=checks,
            dtype=dtype,
            channels_last=channels_last,
        )

    def prove(self, by: str = "isl", steps: int = 2_000_000) -> Proof:
        """Decide that every closed form is what the layers, one by one, make of the sizes.

        For all integers in the domain; what isl cannot decide is tested at many sizes, and listed.

        Args:
            by: the prover: ``"isl"``, ``"z3"`` (the extra ``prove``), or ``"both"``.
            steps: what z3 may spend on a claim, in its own steps, on every machine the same.

        Returns:
            ``.proved``, ``.tested`` and ``.wrong`` claims; ``.complete`` if all are proved.

        Raises:
            BadSpec: for another prover.
            MissingExtra: without z3.

        >>> from symcnn import nn
        >>> net = nn.Sequential(nn.Conv2d(3, 8, 3, stride=2), nn.MaxPool2d(2)).trace("N 3 H W")
        >>> proof = net.prove()
        >>> proof.complete, proof.tested, proof.wrong
        (True, (), ())
        >>> print(proof.proved[2])
        0: size[2] is (H - 1)//2, as torch's documentation says  (proved: isl)
        """
        from symcnn.questions.proof.prove import prove

        return prove(self, by, steps)

    # receptive field

    def receptive_field(
        self,
        at: str | None = None,
        wrt: str | int | None = None,
        *,
        gates: bool = True,
        statistics: bool = True,
    ) -> ReceptiveField:
        """What an output place sees of the input, per spatial axis, for all sizes at once.

        Args:
            at: a module or node to look at instead of the output.
            wrt: a module or node, or the number of an input, to look back to; the first input on
                which the output depends if None.
            gates: whether squeeze-excite and other factors that are the same all over space count.
            statistics: whether the mean and variance of group, layer and instance norms count.

        Returns:
            ``.size``, ``.stride``, ``.padding``, ``.interval(i)`` as formulas; ``.at(...)`` exact
            at a size.

        Raises:
            BadSpec: with near names, for an unknown node, and for an output that does not depend on
                the input.

        >>> import symcnn
        >>> from symcnn import nn
        >>> net = nn.Sequential(nn.Conv2d(3, 8, 3), nn.MaxPool2d(2)).trace("N 3 H W")
        >>> net.receptive_field().size, net.receptive_field(at="0").size
        ((4, 4), (3, 3))
        """
        from symcnn.questions.field.receptive_field import receptive_field

        return receptive_field(self, at, wrt, gates=gates, statistics=statistics)

    # text

    def summary(self, **options: Any) -> Summary:
        """A table of the nodes or modules and the totals, as text; its `rows` are data.

        Args:
            options: ``at``: sizes, ``{"H": 224, "W": 224}``, at which cells are numbers, else they
                are formulas. ``depth``: one row per module down to this depth of the tree, by
                default one per node. ``columns``: of "op", "input", "output", "params", "macs",
                "memory", "field" and "source". ``floors``: how floors are written: "division",
                ``(H - 1)//2``, by default; "brackets", ``floor((H - 1)/2)``; or "shortest" of
                floor and ceiling, ``ceil(H/32)``.

        Returns:
            Text, with ``rows``, ``totals`` and ``to_dict()``.

        Raises:
            BadSpec: for an unknown column or size.
            InvalidInput: for sizes that are not valid.

        >>> from symcnn import nn
        >>> net = nn.Sequential(nn.Conv2d(3, 8, 3, stride=2), nn.ReLU()).trace("N 3 H W")
        >>> print(net.summary(at={"N": 1, "H": 33, "W": 33}))
        name  op      output          params    MACs
        0     conv2d  (1, 8, 16, 16)     224  55,296
        1     relu    (1, 8, 16, 16)
        output (1, 8, 16, 16)
        params 224
        MACs 55,296
        field (3, 3)
        <BLANKLINE>
        """
        from symcnn.questions.summary import summary

        return summary(self, **options)

    def explain(
        self,
        what: str | None = None,
        *,
        axis: str | int | None = None,
        output: Target = None,
        tile: int | Sequence[int | None] | None = None,
        **sizes: int,
    ) -> Derivation:
        """The derivation of a closed form, step by step, every line checked.

        Args:
            what: ``"size"``, ``"field"``, ``"params"``, ``"macs"``, ``"memory"``, ``"peak"``,
                ``"domain"``, ``"solution"``, ``"stream"`` or ``"tiles"``; by default size and
                receptive field.
            axis: of a size, a field or a stream, by number or symbol; the first along which a
                field is asked if None.
            output: the target of a solution, ``(7, 7)``.
            tile: how large tiles are, for ``"tiles"``.
            sizes: of the image that is tiled, ``H=1000, W=1000``.

        Returns:
            Numbered steps, which write themselves as text, Markdown, HTML and LaTeX.

        Raises:
            BadSpec: for an unknown question or axis.

        >>> from symcnn import nn
        >>> layers = nn.Conv2d(3, 8, 3, 2), nn.Flatten(), nn.Linear(392, 10)
        >>> net = nn.Sequential(*layers).trace("N 3 H W")
        >>> print(net.at("0").explain("size").answer)
        the size is floor((H - 1)/2)
        """
        from symcnn.questions.explain import explain

        return explain(self, what, axis=axis, output=output, tile=tile, **sizes)

    def to_code(self, language: str = "python") -> str:
        """Closed forms as source code: ``size0``, ``size1``, ... (of the output), ``params``,
        ``macs``.

        Every function takes all sizes, in the order of `symbols` and then by name.

        Args:
            language: ``"python"``, ``"numpy"``, ``"c"`` or ``"javascript"``, see
                `symcnn.words.code.to_code`.

        Returns:
            The text of a module.

        Raises:
            BadSpec: for an unknown language.

        >>> from symcnn import nn
        >>> layers = nn.Conv2d(3, 8, 3, 2), nn.Flatten(), nn.Linear(392, 10)
        >>> net = nn.Sequential(*layers).trace("N 3 H W")
        >>> print(net.at("0").to_code("javascript").count("export function"))
        6
        """
        from symcnn.algebra.expr import from_sympy
        from symcnn.words.code import to_code

        formulas: dict[str, Any] = {
            f"size{axis}": self.simplest(dim) for axis, dim in enumerate(self.output_dims)
        }
        formulas |= {"params": self.params, "macs": self.macs}
        names = [*self.symbols, *sorted(self.free_symbols - set(self.symbols))]
        hidden = {name for f in formulas.values() for name in symbols_of(from_sympy(f))}
        names += sorted(hidden - set(names))
        return to_code(self._where_they_hold(formulas), language, names)

    def _where_they_hold(self, formulas: dict[str, Any]) -> dict[str, Any]:
        """Formulas of a network that is not complete say nothing at sizes that it does not tell."""
        if self.complete:
            return formulas
        from symcnn.algebra.expr import to_sympy
        from symcnn.algebra.size import Size
        from symcnn.lazy import sympy

        where = self.valid_inputs().as_sympy()
        shown = {name: to_sympy(f) if isinstance(f, Size) else f for name, f in formulas.items()}
        return {
            name: f if isinstance(f, sympy.Piecewise) else sympy.Piecewise((f, where))
            for name, f in shown.items()
        }

    def to_latex(self, what: str = "table", **options: Any) -> str:
        r"""LaTeX for a paper.

        Args:
            what: a ``"table"``, ``"formulas"``, a ``"derivation"``, a ``"document"``.
            options: those of `symcnn.words.paper.to_latex`, such as ``at``, ``columns``,
                ``siunitx``.

        Returns:
            Text that goes into a paper unchanged.

        Raises:
            BadSpec: for an option of no use.

        >>> from symcnn import nn
        >>> layers = nn.Conv2d(3, 8, 3, 2), nn.Flatten(), nn.Linear(392, 10)
        >>> net = nn.Sequential(*layers).trace("N 3 H W")
        >>> print(net.at("0").to_latex("formulas").splitlines()[2])
        \text{parameters} &= 224 \\
        """
        from symcnn.words.paper import to_latex

        return to_latex(self, what, **options)

    def _repr_latex_(self) -> str:
        from symcnn.words.paper import output_formula

        return output_formula(self)

    def _repr_html_(self) -> str:
        from symcnn.algebra.mathml import math
        from symcnn.shown import block, folded

        shapes = f"{', '.join(map(math, self.inputs))} \N{RIGHTWARDS ARROW} {math(self.outputs)}"
        scope = f", {escape(self.scope)}" if self.scope else ""
        count = f"{len(self.nodes)} node{'s' * (len(self.nodes) != 1)}"
        layers = folded(count, self.summary().table())
        return block(f"<div>{shapes}{scope}</div>", layers)

    def __repr__(self) -> str:
        inputs = ", ".join(map(str, self.inputs))
        scope = f", {self.scope}" if self.scope else ""
        return f"Network({inputs} -> {self.describe_output()}, {len(self.nodes)} nodes{scope})"
