"""Mutation check: each law broken on purpose, one at a time, must be noticed by the tests.

A mutant is an exact piece of text in one file, what stands there instead, and the tests that should
fail. It is planted in a temporary copy of the tree; a text that is not found exactly once is an
error, so the table cannot rot. Exit status 1 if a mutant survives. `make mutants`.
"""

from __future__ import annotations

import os
import platform
import shlex
import shutil
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from queue import Queue
from time import perf_counter

import click

ROOT = Path(__file__).parents[2]
FORKS = get_context("forkserver")


@dataclass(frozen=True)
class Mutant:
    """A law broken: what it says, where, and the tests that should notice."""

    law: str
    file: str
    text: str
    instead: str
    tests: str  # arguments of pytest


_AXIS, _CONV, _POOL = "symcnn/algebra/axis.py", "symcnn/ops/conv.py", "symcnn/ops/pool.py"
_SIZE, _ATOMS = "symcnn/algebra/size.py", "symcnn/algebra/atoms.py"
_FLOORS = "tests/test_expr.py -k 'normal_form or simplifications'"
_DTYPES = "tests/test_dtypes.py -k questions"
_CEIL = "tests/test_axis.py -k ceil_law"
_FUSION = "tests/test_axis.py -k 'stack_of_windows or fused_window or associative'"
_SCATTER = "tests/test_axis.py -k scatter"
_SWEEP = "tests/test_sweep.py -k 'torchs_shape and {}'"

MUTANTS = (
    Mutant(
        "ceil law without its min",
        _AXIS,
        "minimum(extent - 1, padding + stride - 1) if ceil_mode",
        "padding + stride - 1 if ceil_mode",
        _CEIL,
    ),
    Mutant(
        "ceil mode pads by the extent",
        _AXIS,
        "minimum(extent - 1, padding + stride - 1) if ceil_mode",
        "minimum(extent, padding + stride - 1) if ceil_mode",
        _CEIL,
    ),
    Mutant(
        "dilation forgotten in the extent",
        _AXIS,
        "extent = dilation * (kernel_size - 1) + 1",
        "extent = kernel_size",
        _CEIL,
    ),
    Mutant(
        "window size without + 1",
        _AXIS,
        "(self.left + self.right - self.extent), self.stride) + 1",
        "(self.left + self.right - self.extent), self.stride)",
        _CEIL,
    ),
    Mutant(
        "same law: the odd pixel left",
        _AXIS,
        "left = floordiv(total, 2)",
        "left = total - floordiv(total, 2)",
        "tests/test_axis.py -k 'same_law or odd_pixel'",
    ),
    Mutant(
        "window pullback one too far",
        _AXIS,
        "self.stride * j - self.left + self.extent - 1",
        "self.stride * j - self.left + self.extent",
        "tests/test_axis.py -k fused_window",
    ),
    Mutant(
        "the kernel need not fit on the right",
        _AXIS,
        "return x + (self.left + self.right), self.extent",
        "return x + self.left, self.extent",
        "tests/test_validate.py -k both_sides",
    ),
    Mutant(
        "fusion: extent without the stride",
        _AXIS,
        "self.extent + self.stride * (other.extent - 1)",
        "self.extent + other.extent - 1",
        _FUSION,
    ),
    Mutant(
        "fusion: strides added",
        _AXIS,
        "self.stride * other.stride,",
        "self.stride + other.stride - 1,",
        _FUSION,
    ),
    Mutant(
        "fusion: left pads added",
        _AXIS,
        "self.left + self.stride * other.left",
        "self.left + other.left",
        _FUSION,
    ),
    Mutant(
        "fusion: right pads added",
        _AXIS,
        "self.right + self.stride * other.right",
        "self.right + other.right",
        _FUSION,
    ),
    Mutant(
        "scatter without output_padding",
        _AXIS,
        "self.extent - 2 * self.padding + self.output_padding",
        "self.extent - 2 * self.padding",
        _SCATTER,
    ),
    Mutant(
        "scatter with one padding of two",
        _AXIS,
        "self.extent - 2 * self.padding + self.output_padding",
        "self.extent - self.padding + self.output_padding",
        _SCATTER,
    ),
    Mutant(
        "scatter pullback rounds down",
        _AXIS,
        "first = ceildiv(i + self.padding - self.extent + 1, self.stride)",
        "first = floordiv(i + self.padding - self.extent + 1, self.stride)",
        _SCATTER,
    ),
    Mutant(
        "scale factors as fractions",
        _AXIS,
        "return scaled(x, self.scale)",
        "return floordiv(x * round(1000 * self.scale), 1000)",
        "tests/test_axis.py -k 'resample or float_scale'",
    ),
    Mutant(
        "linear interpolation from corners",
        _AXIS,
        "middle = (2 * i + 1) * q - p",
        "middle = 2 * i * q",
        "tests/test_axis.py -k pixel_centres",
    ),
    Mutant(
        "adaptive windows end early",
        _AXIS,
        "ceildiv((j + 1) * x, self.length) - 1",
        "floordiv((j + 1) * x, self.length) - 1",
        "tests/test_axis.py -k adaptive",
    ),
    Mutant(
        "the whole axis and one more",
        _AXIS,
        "return 0, x - 1",
        "return 0, x",
        "tests/test_axis.py -k whole",
    ),
    Mutant(
        "convolution: kernel height and width swapped",
        _CONV,
        "zip(kernel, strides, pads, dilations, strict=True)\n",
        "zip(kernel[::-1], strides, pads, dilations, strict=True)\n",
        _SWEEP.format("conv"),
    ),
    Mutant(
        "convolution: groups forgotten in the channels",
        _CONV,
        "_channels(op, channels, c_group * groups, c_out",
        "_channels(op, channels, c_group, c_out",
        _SWEEP.format("conv"),
    ),
    Mutant(
        "convolution: groups do not divide the MACs",
        _CONV,
        "each = c_group * prod(kernel)",
        "each = c_group * groups * prod(kernel)",
        "tests/test_cost.py -k groups",
    ),
    Mutant(
        "transposed convolution: MACs of the output size",
        _CONV,
        "macs = prod((*batch, *space)) * (c_in",
        "macs = prod((*batch, *sizes)) * (c_in",
        "tests/test_validate.py -k transposed",
    ),
    Mutant(
        "transposed convolution: groups forgotten in the channels",
        _CONV,
        "c_out = c_group * groups",
        "c_out = c_group",
        _SWEEP.format("transposed"),
    ),
    Mutant(
        "transposed convolution: dilation forgotten",
        _CONV,
        "Scatter(d * (k - 1) + 1, s, p, o, d)",
        "Scatter(k, s, p, o, d)",
        _SWEEP.format("transposed"),
    ),
    Mutant(
        "pool: stride 1 by default",
        _POOL,
        "strides = kernel if stride is None",
        "strides = (1,) * n if stride is None",
        _SWEEP.format("pool"),
    ),
    Mutant(
        "pool: any padding up to the kernel",
        _POOL,
        "p > k // 2:  # dilated or not",
        "p > k:  # dilated or not",
        _SWEEP.format("pool"),
    ),
    Mutant(
        "pool: ceil_mode ignored",
        _POOL,
        "ceil_mode=bool(ceil_mode)",
        "ceil_mode=False",
        _SWEEP.format("pool"),
    ),
    Mutant(
        "linear: MACs without the input features",
        "symcnn/ops/matmul.py",
        "requires=tuple(requires), each=in_features",
        "requires=tuple(requires), each=1",
        "tests/test_validate.py -k indices",
    ),
    Mutant(
        "conditions: strict where they are not",
        "symcnn/sets/condition.py",
        "lhs >= rhs if self.relation",
        "lhs > rhs if self.relation",
        "tests/test_validate.py -k both_sides",
    ),
    Mutant(
        "group norm: one value per group is enough",
        "symcnn/ops/norm.py",
        'Condition(channels, ">=", 2 * num_groups)',
        'Condition(channels, ">=", num_groups)',
        "tests/test_nn.py -k group_norm_of_one",
    ),
    Mutant(
        "validation: a module's shape is not looked at",
        "symcnn/judge/validate.py",
        "if ours != shapes:",
        "if False:",
        "tests/test_validate.py -k differs_inside",
    ),
    Mutant(
        "half of a size padded to be even, rounded down",
        "symcnn/algebra/size.py",
        "return _halves(rest - c * _floordiv(atom.num + atom.den // 2, atom.den))",
        "return _halves(rest - c * _floordiv(atom.num, atom.den))",
        "tests/test_expr.py -k padded_to_be_even",
    ),
    Mutant(
        "prove: a view is held to nothing",
        "symcnn/questions/proof/prove.py",
        'return self.decide([Condition(have, "==", want)], {})',
        'return "proved", "isl"',
        "tests/test_prove.py",
    ),
    Mutant(
        "a buffer is cut to the example",
        "symcnn/frontends/torch/arguments.py",
        "if isinstance(value, slice) and hold_traced((value.start, value.stop, value.step)):",
        "if False:",
        "tests/test_from_torch.py -k 'buffer_is_cut or table_of_positions'",
    ),
    Mutant(
        "memory: a view whose sizes look different is a copy",
        "symcnn/ops/storage/layouts.py",
        "if made != total and prod(dims[: at + 1]) != before:",
        "if made != total:",
        "tests/test_cost_memory.py -k what_the_domain_makes_equal",
    ),
    Mutant(
        "the backward of an autograd.Function is nothing",
        "symcnn/questions/cost/pernode.py",
        "self._own_backward()",
        "pass",
        "tests/test_cost_backward.py -k autograd_function",
    ),
    Mutant(
        "floors: a negative multiple comes out as a positive one",
        _SIZE,
        "q = abs(c) // den * (1 if c > 0 else -1)",
        "q = abs(c) // den",
        _FLOORS,
    ),
    Mutant(
        "floors: the constant over a common factor rounded up",
        _SIZE,
        "const, den = const // g, den // g",
        "const, den = -(-const // g), den // g",
        _FLOORS,
    ),
    Mutant(
        "floors: a floor in a floor forgets its divisor",
        _SIZE,
        "return floordiv(inner.num + inner.den * (num - inner.size()), inner.den * den)",
        "return floordiv(inner.num + (num - inner.size()), inner.den * den)",
        _FLOORS,
    ),
    Mutant(
        "floors: the floor of a negative is that of a positive",
        _SIZE,
        "sign, const = -1, den - 1 - const",
        "sign, const = -1, den - const",
        _FLOORS,
    ),
    Mutant(
        "monotone bounds: a floor's upper bound is one too low",
        _ATOMS,
        "self.high = None if high is None else high // den",
        "self.high = None if high is None else high // den - 1",
        "tests/test_expr.py -k bounds_are_never_wrong",
    ),
    Mutant(
        "maximum: the first of two that were not compared",
        _SIZE,
        "return all(x >= y for x, y in values) and _never_below(a, b)",
        "return all(x >= y for x, y in values)",
        _FLOORS,
    ),
    Mutant(
        "repeats: the pads of floors do not grow with the stride",
        "symcnn/algebra/series.py",
        "shift = summation((offset + den * outer) * power(den, i), index, i_count())",
        "shift = summation(offset + den * outer, index, i_count())",
        "symcnn/algebra/series.py tests/test_symbols.py -k 'iterate or wavenet'",
    ),
    Mutant(
        "repeats: Faulhaber's sum forgets the lower powers",
        "symcnn/algebra/series.py",
        "total[power_] -= comb(degree + 1, lower) * c",
        "total[power_] -= c",
        "symcnn/algebra/series.py",
    ),
    Mutant(
        "repeats: a geometric sum does not start at its first term",
        "symcnn/algebra/series.py",
        "* above * below + _scaled(-1, q[0])",
        "* above * below",
        "symcnn/algebra/series.py",
    ),
    Mutant(
        "remainders in one another: bounds that a multiple divides are one all the same",
        "symcnn/sets/remainders.py",
        "if low // self.by < high // self.by:",
        "if low > high:",
        "tests/test_sets.py -k remainders_in_one_another",
    ),
    Mutant(
        "independent sizes: what a condition ties falls apart",
        "symcnn/sets/fewer.py",
        "group.update(dict.fromkeys(union, union))",
        "pass",
        "symcnn/sets/presburger.py tests/test_sets.py -k 'tied or combine or membership'",
    ),
    Mutant(
        "products: each factor is a multiple of the whole divisor",
        "symcnn/sets/products.py",
        "ways = [*islice(splits(n, [False] * len(found)), _MANY)]",
        "ways = [(n,) * len(found)]",
        "tests/test_sets.py -k divisible_where",
    ),
    Mutant(
        "products: a number is written as a product in one way only",
        "symcnn/algebra/divisors.py",
        "for d in divisors(abs(target)):",
        "for d in divisors(abs(target))[:1]:",
        "tests/test_sets.py -k 'split_over_divisors or bounded_products'",
    ),
    Mutant(
        "few values: the greatest is left out",
        "symcnn/sets/products.py",
        "for v in range(low, high + 1))",
        "for v in range(low, high))",
        "tests/test_sets.py -k 'each_of_its_values or bounded_products'",
    ),
    Mutant(
        "domain law: a floor is a quotient whatever the remainder",
        "symcnn/sets/simplest.py",
        'if rest is not None and self._holds(Condition(sz.mod(atom.num, atom.den), "==", rest)):',
        "if rest is not None:",
        "tests/test_simplest.py -k 'same_value or remainder'",
    ),
    Mutant(
        "even law: the right pad does not count",
        "symcnn/questions/inputs/even.py",
        "rest = mod(dims[source] + left + right - axis_map.extent, axis_map.stride)",
        "rest = mod(dims[source] + left - axis_map.extent, axis_map.stride)",
        "tests/test_places.py -k even_sizes",
    ),
    Mutant(
        "even law: rounding up pads on both sides (slides, ceil_mode)",
        "symcnn/questions/inputs/even.py",
        "            right = left\n",
        "            pass\n",
        "tests/test_places.py -k even_in_ceil_mode",
    ),
    Mutant(
        "tile law: any origin will do",
        "symcnn/questions/place/cut.py",
        "return lcm(*(rate.denominator for rate in rates))",
        "return 1",
        "tests/test_places.py -k 1000_rows",
    ),
    Mutant(
        "tiles: the halo on the right is one short",
        "symcnn/questions/place/tiles.py",
        "int(max(last.max() - course.period + 1, 0))",
        "int(max(last.max() - course.period, 0))",
        "tests/test_places.py -k '1000_rows or budget'",
    ),
    Mutant(
        "shards: the halo on the right is one short",
        "symcnn/questions/place/shards.py",
        "return int(-first.min()), int(last.max() - course.period + 1)",
        "return int(-first.min()), int(last.max() - course.period)",
        "tests/test_places.py -k four_parts",
    ),
    Mutant(
        "streams: what is kept does not count its last place",
        "symcnn/questions/place/stream.py",
        "last[:-1] - first[1:] + 1, 0)",
        "last[:-1] - first[1:], 0)",
        "tests/test_places.py -k three_causal",
    ),
    Mutant(
        "macs: attention without its second product",
        "symcnn/ops/attention.py",
        "macs = samples * (projections + 2 * length * seen * width)",
        "macs = samples * (projections + length * seen * width)",
        "tests/test_cost_backward.py -k test_attention",
    ),
    Mutant(
        "macs: a matrix product without its inner axis",
        "symcnn/ops/matmul.py",
        "return shape, inner, [",
        "return shape, 1, [",
        "tests/test_cost_backward.py -k weights_made",
    ),
    Mutant(
        "other: a norm in eval mode takes statistics",
        "symcnn/ops/norm.py",
        '    if "training" in arguments and not own:',
        '    if "training" in arguments and own is None:',
        "tests/test_cost.py -k takes_statistics",
    ),
    Mutant(
        "counts: thop's norms without their affine map",
        "symcnn/ops/tools.py",
        '{"thop": _by_affine(4, 2)',
        '{"thop": _by_affine(2, 2)',
        "tests/test_cost_conventions.py -k counts_what",
    ),
    Mutant(
        "products: a gradient for both factors, needed or not",
        "symcnn/ops/autograd.py",
        "if self.needs(product.left):",
        "if True:",
        "tests/test_cost_backward.py -k 'frozen or first_layer'",
    ),
    Mutant(
        "counted: products with vectors are counted as torch does not",
        "symcnn/ops/matmul.py",
        "return 0 if vectors(node) else node.result.work",
        "return node.result.work",
        "tests/test_wrong_answers.py -k products_with_vectors",
    ),
    Mutant(
        "gradient: one flows through detach",
        "symcnn/ops/autograd.py",
        "return node.mode.grad and (operation is None or operation.gradient)",
        "return node.mode.grad",
        "tests/test_cost_backward.py -k cuts_a_gradient",
    ),
    Mutant(
        "saves: a pool forgets where its largest elements were",
        "symcnn/ops/storage/maps.py",
        "where nobody watches\n        m.beside(prod(node.outputs[0].dims), LONG)",
        "where nobody watches\n        pass",
        "tests/test_cost_memory.py -k what_layers_keep",
    ),
    Mutant(
        "saves: batch norm in training keeps no statistics",
        "symcnn/ops/storage/maps.py",
        "_statistics(m, node, 2 * first_of(node).dims[1])",
        "pass",
        "tests/test_cost_memory.py -k what_layers_keep",
    ),
    Mutant(
        "dtype: a sum of integers has their dtype",
        "symcnn/ops/dtypes.py",
        'return found if kind_of(found) >= _FLOAT else "int64"',
        "return found",
        _DTYPES,
    ),
    Mutant(
        "dtype: a number promotes a tensor of its kind",
        "symcnn/ops/dtypes.py",
        "    if mine >= theirs:\n",
        "    if mine > theirs:\n",
        _DTYPES,
    ),
    Mutant(
        "autocast: convolutions stay in single precision",
        _CONV,
        "    autocast=dtypes.LOW,\n",
        "",
        "tests/test_dtypes.py -k autocast",
    ),
    Mutant(
        "statistics: a group norm cannot be looked through",
        "symcnn/ops/norm.py",
        '    "group_norm",\n    same_dtype="input weight bias",\n    statistics=True,',
        '    "group_norm",\n    same_dtype="input weight bias",\n    statistics=False,',
        "tests/test_receptive_field.py -k statistics",
    ),
    Mutant(
        "value: the sum of two sizes is their product",
        "symcnn/ops/pointwise.py",
        "value=values.scaled(operator.add),",
        "value=values.scaled(operator.mul),",
        "tests/test_scalars.py",
    ),
    Mutant(
        "operators: a number minus a tensor is no operation",
        "symcnn/ops/pointwise.py",
        'operators="sub rsub isub"',
        'operators="sub isub"',
        "tests/test_scalars.py -k order",
    ),
    Mutant(
        "sizes: a pad by a maximum is a branch",
        "symcnn/ops/shape.py",
        'sizes=True,\n    shows="every",\n    idle=lambda',
        'sizes=False,\n    shows="every",\n    idle=lambda',
        "tests/test_selects.py -k one_network",
    ),
    Mutant(
        "idle: a pad by nothing is a pad",
        "symcnn/ops/shape.py",
        'shows="every",\n    idle=lambda node: {"pad": (0,) * len(node.arguments["pad"])},',
        'shows="every",\n    idle=None,',
        "tests/test_idle_branches.py -k one_network",
    ),
    Mutant(
        "shows: a gradient reaches all that a max pool reads",
        "symcnn/ops/pool.py",
        'shows="winner",',
        'shows="every",',
        "tests/test_validate.py -k 'field or gradient'",
    ),
    Mutant(
        "scaled: a sum has no old form",
        "symcnn/ops/pointwise.py",
        '    operators="add radd iadd",\n    scaled=True,',
        '    operators="add radd iadd",',
        "tests/test_argument_forms.py -k add",
    ),
    Mutant(
        "scrambles: singular vectors lie in plain order",
        "symcnn/ops/linalg.py",
        '@_factors("svd", scrambles=True,',
        '@_factors("svd", scrambles=False,',
        "tests/test_layout.py -k leaves_open",
    ),
    Mutant(
        "uniform: zeros are not the same everywhere",
        "symcnn/ops/create.py",
        "dtype=dtypes.created, uniform=True, sizes=True)\n_sized(",
        "dtype=dtypes.created, uniform=False, sizes=True)\n_sized(",
        "tests/test_places.py -k belong_to_no_place",
    ),
    Mutant(
        "joins: a join of several is no join",
        "symcnn/ops/shape.py",
        "    joins=True,\n",
        "    joins=False,\n",
        "tests/test_explain.py -k concatenation",
    ),
    Mutant(
        "contracts: a dtype is declared and not looked at",
        "symcnn/contracts.py",
        'differ = [(want, have) for want, have in differ if want not in ("", have)]',
        "differ = []",
        "tests/test_contracts.py -k dtype",
    ),
    Mutant(
        "contracts: the first branch speaks for all",
        "symcnn/contracts.py",
        "nets = [branch.network for branch in net.branches]",
        "nets = [branch.network for branch in net.branches][:1]",
        "tests/test_contracts.py -k branch",
    ),
    Mutant(
        "z3: what a fresh size means is not said",
        "symcnn/questions/proof/smt.py",
        'lines += [f"(assert {_formula(e)})" for e in equal]',
        "pass",
        "tests/test_prove_z3.py -k agree",
    ),
    Mutant(
        "z3: products are not asked factor by factor",
        "symcnn/questions/proof/layer.py",
        "if not is_product(made) or not isinstance(dim, Size) or self.back(made) != dim:",
        "if True:",
        "tests/test_prove_z3.py -k few_steps",
    ),
    Mutant(
        "z3: a model that divides by 0 is a counterexample",
        "symcnn/questions/proof/smt.py",
        "if not statement.fails(sizes):",
        "if False:",
        "tests/test_prove_z3.py -k divides",
    ),
)


def killed(mutant: Mutant, tree: Path) -> bool:
    """Whether the tests notice; the tree is as before afterwards."""
    file = tree / mutant.file
    before = file.read_text(encoding="utf-8")
    if before.count(mutant.text) != 1:
        raise SystemExit(f"{mutant.law}: {mutant.text!r} is not in {mutant.file} exactly once")
    file.write_text(before.replace(mutant.text, mutant.instead), encoding="utf-8")
    try:
        return _tests(mutant.tests, tree) == 1
    finally:
        file.write_text(before, encoding="utf-8")


#: What every run loads before its own tree: a process that has it is forked, not started.
_LOADED = ["torch", "numpy", "sympy", "hypothesis", "islpy", "_pytest.main", "z3"]


def _tests(arguments: str, tree: Path) -> int:
    """Exit status of pytest: 1 if a test failed. Anything but 0 and 1 is an error of the table."""
    said = tree / "said.txt"
    process = FORKS.Process(target=_in_tree, args=(arguments, str(tree), str(said)))
    process.start()
    process.join()
    if process.exitcode not in (0, 1):
        raise SystemExit(f"pytest {arguments}: status {process.exitcode}\n{said.read_text()}")
    return process.exitcode


def _in_tree(arguments: str, tree: str, said: str) -> None:
    """In a process of its own: pytest on the code and the tests of a tree."""
    for name in [*sys.modules]:
        if name.partition(".")[0] in ("symcnn", "pytest_symcnn", "tests"):
            del sys.modules[name]
    os.environ |= {"PYTHONPATH": tree, "PYTHONDONTWRITEBYTECODE": "1"}
    os.environ |= {"HYPOTHESIS_PROFILE": "mutants"}
    sys.dont_write_bytecode = True
    sys.path.insert(0, tree)
    os.chdir(tree)
    written = os.open(said, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(written, 1)
    os.dup2(written, 2)
    import pytest

    options = ["-x", "-q", "-p", "no:cacheprovider", *shlex.split(arguments)]
    sys.exit(int(pytest.main(options)))


@click.command()
@click.option("--jobs", default=2, show_default=True, help="Copies of the tree at work at a time.")
@click.option("--only", default="", help="Only laws that contain this text.")
@click.option("--write", type=click.Path(path_type=Path), help="The table, as Markdown.")
def main(jobs: int, only: str, write: Path | None) -> None:
    """Break each law on purpose; exit status 1 if the tests do not notice one."""
    from rich.progress import Progress

    FORKS.set_forkserver_preload(_LOADED)
    chosen = [m for m in MUTANTS if only in m.law]
    unharmed = [*dict.fromkeys(m.tests for m in chosen)]  # a test that fails anyway kills nothing
    start = perf_counter()
    with tempfile.TemporaryDirectory() as folder, Progress(transient=True) as progress:
        trees: Queue[Path] = Queue()
        for number in range(jobs):
            tree = Path(folder) / str(number)
            for part in ("symcnn", "tests", "examples", "pyproject.toml"):
                source = ROOT / part
                copy = shutil.copytree if source.is_dir() else shutil.copy
                tree.mkdir(exist_ok=True)
                copy(source, tree / part)
            trees.put(tree)
        bar = progress.add_task("mutants", total=len(unharmed) + len(chosen))

        def passes(tests: str) -> None:
            tree = trees.get()
            try:
                if _tests(tests, tree):
                    raise SystemExit(f"pytest {tests} fails without any mutant")
            finally:
                trees.put(tree)
                progress.advance(bar)

        def judge(mutant: Mutant) -> bool:
            tree = trees.get()
            try:
                return killed(mutant, tree)
            finally:
                trees.put(tree)
                progress.advance(bar)

        with ThreadPoolExecutor(jobs) as pool:
            [*pool.map(passes, unharmed)]
            verdicts = [*pool.map(judge, chosen)]
    survivors = verdicts.count(False)
    rows = ["| law broken | in | tests | |", "| --- | --- | --- | --- |"]
    for mutant, dead in zip(chosen, verdicts, strict=True):
        rows.append(
            f"| {mutant.law} | `{mutant.file}` | `{mutant.tests}` "
            f"| {'killed' if dead else '**survived**'} |"
        )
    told = f"{len(chosen)} mutants, {len(chosen) - survivors} killed, {survivors} survived"
    click.echo("\n".join([*rows, "", told]))
    if write is not None:
        import torch

        head = [
            "# Mutants",
            "",
            "Each law broken on purpose, and whether the tests named notice. Written by",
            "`make mutants`.",
            f"{told}; {perf_counter() - start:.0f} s, torch {torch.__version__}, python "
            f"{platform.python_version()}, {platform.machine()}, {os.cpu_count()} cores.",
            "",
        ]
        write.write_text("\n".join([*head, *rows, ""]), encoding="utf-8")
    sys.exit(1 if survivors else 0)


if __name__ == "__main__":
    main()
