"""Random layers, networks, domains, fields, judged by torch: `python -m tests.fuzz` does very many.

A layer is one of the `KINDS` with random hyperparameters on inputs of random sizes; our shape must
be that of torch's CPU kernels, and where torch refuses, so must we. A network is a random recipe of
`symcnn.testing.networks`; at sizes inside and outside its domain the shapes must be torch's on
meta, the domain as a set must hold the sizes that torch takes and no other, and parameters and
FLOPs must be those that torch counts. A domain is that of a random network too, compared with what
torch takes at every size up to 300 along every axis: see `tests.fuzz.domains`. A field is that
of a random network that mixes places, against gradients: see `tests.fuzz.mixing`. A place is
a tiling, a sharding, a stream or an agreement of random networks, held against runs in double: see
`tests.fuzz.places`. A form is one way to call one operation: see `tests.fuzz.forms`. A
branching network is a forward with random branches on sizes, put to torch at a grid of sizes: see
`tests.fuzz.branching`.

On another device, a card say, layers run there in place of the CPU, and networks besides; what that
device alone refuses, or takes, is counted and is no mismatch.

Cases depend on the seed and their number only, so any one of them can be looked at again.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass, field
from random import Random
from typing import TYPE_CHECKING, Any

from symcnn.algebra.size import evaluate
from symcnn.errors import BadSpec, ShapeMismatch, SymcnnError, Undecidable
from symcnn.judge.oracles import torch_flops, torch_shapes
from symcnn.questions.inputs.domain import first_failure
from symcnn.testing.layer import Layer, Seeded
from symcnn.testing.layers import KINDS, draw_layer, draw_sizes

if TYPE_CHECKING:
    from symcnn.network import Network
    from symcnn.testing.branching import BranchingRecipe
    from symcnn.testing.networks import NetworkRecipe
    from tests.fuzz.mixing import Mixing
    from tests.fuzz.places import Place

__all__ = [
    "WHAT",
    "Mismatch",
    "Tally",
    "branching_case",
    "case",
    "domain_case",
    "field_case",
    "judge_cases",
    "layer_case",
    "network_case",
    "parse_case",
    "place_case",
    "told",
]

#: Mismatches that are told; more are counted.
_TOLD = 100
_MOST = 40  # random sizes of a network; borders of its domain may lie above
_FAR = 4096  # but not further than this
_EMPTY = "sizes at which torch's CPU kernels refuse what the meta device takes"


@dataclass(frozen=True)
class Mismatch:
    """A case on which torch and we differ."""

    case: str  # "layer:123456", "network:17" or "domain:17"
    told: str  # python or a recipe that makes it, and both answers

    def __str__(self) -> str:
        return f"{self.case}: {self.told}"


@dataclass
class Tally:
    """What came of many cases."""

    kinds: Counter[str] = field(default_factory=Counter)  # layers judged, by kind
    names: set[str] = field(default_factory=set)  # of layers
    networks: int = 0
    sizes: int = 0  # at which networks were compared
    domains: int = 0
    fields: int = 0
    places: int = 0
    forms: int = 0
    branching: int = 0
    counts: Counter[str] = field(default_factory=Counter)  # of what is worth knowing besides
    wrong: int = 0
    mismatches: list[Mismatch] = field(default_factory=list)  # the first of them

    def __iadd__(self, other: Tally) -> Tally:
        self.kinds += other.kinds
        self.names |= other.names
        self.networks += other.networks
        self.sizes += other.sizes
        self.domains += other.domains
        self.fields += other.fields
        self.places += other.places
        self.forms += other.forms
        self.branching += other.branching
        self.counts += other.counts
        self.wrong += other.wrong
        self.mismatches = [*self.mismatches, *other.mismatches][:_TOLD]
        return self

    def add(self, mismatch: Mismatch) -> None:
        """One more case on which we differ."""
        self.wrong += 1
        self.mismatches = [*self.mismatches, mismatch][:_TOLD]

    @property
    def layers(self) -> int:
        """How many layers."""
        return sum(self.kinds.values())

    def to_dict(self) -> dict[str, object]:
        """As plain values; `Tally.from_dict` makes it again."""
        return {
            "kinds": dict(sorted(self.kinds.items())),
            "names": sorted(self.names),
            "networks": self.networks,
            "sizes": self.sizes,
            "domains": self.domains,
            "fields": self.fields,
            "places": self.places,
            "forms": self.forms,
            "branching": self.branching,
            "counts": dict(sorted(self.counts.items())),
            "wrong": self.wrong,
            "mismatches": [asdict(m) for m in self.mismatches],
        }

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Tally:
        """From what `to_dict` gave."""
        return cls(
            kinds=Counter(values["kinds"]),
            names=set(values["names"]),
            networks=values["networks"],
            sizes=values["sizes"],
            domains=values["domains"],
            fields=values["fields"],
            places=values["places"],
            forms=values["forms"],
            branching=values["branching"],
            counts=Counter(values["counts"]),
            wrong=values["wrong"],
            mismatches=[Mismatch(**m) for m in values["mismatches"]],
        )


# Layers ------------------------------------------------------------------------------------------


def case(seed: int, kind: str, number: int) -> tuple[Layer, dict[str, int]]:
    """One layer of a kind and sizes for it; always the same for the same arguments."""
    source = Seeded(f"{seed} {kind} {number}")
    layer = draw_layer(source, (kind,))
    return layer, draw_sizes(source, layer)


def layer_case(seed: int, number: int) -> tuple[str, Layer, dict[str, int]]:
    """The kind, layer and sizes of one number; the kinds take turns."""
    kind = KINDS[number % len(KINDS)]
    return kind, *case(seed, kind, number // len(KINDS))


def _judge_layer(seed: int, number: int, tally: Tally, device: str) -> None:
    kind, layer, at = layer_case(seed, number)
    device = device or "cpu"
    tally.kinds[kind] += 1
    tally.names.add(layer.name)
    want = layer.torch_shape(at, device)
    tally.counts["layers that torch refuses"] += want is None
    try:
        ours = layer.symcnn_shape(at)
    except Exception as error:  # a refusal is None; anything raised here is a bug
        ours = _words(error)
    if ours == want:
        return
    if device != "cpu" and None in (ours, want) and ours == layer.torch_shape(at):
        alone = "refuses" if want is None else "takes"  # a limit of that device, not of the layer
        tally.counts[f"layers that only {device} {alone}"] += 1
        return
    told = f"{layer.line(at)}  # {_shown(ours)}, torch: {_shown(want)}"
    tally.add(Mismatch(f"layer:{number}", told))


# Networks ----------------------------------------------------------------------------------------


def network_case(seed: int, number: int) -> tuple[NetworkRecipe, list[dict[str, int]]]:
    """One network and random sizes for it; sizes at its domain's border come on top."""
    from symcnn.testing.networks import draw_network

    source = Seeded(f"{seed} network {number}")
    recipe = draw_network(source)
    return recipe, [
        {"N": source.integer(1, 3)} | {a: source.integer(1, _MOST) for a in recipe.axes}
        for _ in range(4)
    ]


def _judge_network(seed: int, number: int, tally: Tally, device: str) -> None:
    recipe, sizes = network_case(seed, number)
    tally.networks += 1
    for told in _differences(recipe, sizes, tally, device or "meta"):
        tally.add(Mismatch(f"network:{number}", f"{recipe}: {told}"))
        return


def _differences(
    recipe: NetworkRecipe, sizes: list[dict[str, int]], tally: Tally, device: str
) -> Iterator[str]:
    """What torch and we say differently of one network, in words."""
    import torch

    from symcnn.frontends import from_torch
    from symcnn.testing.networks import torch_shape

    with torch.device("meta"):
        module = recipe.build()
    try:
        net = from_torch(module, recipe.spec)
    except ShapeMismatch:  # at no size do the branches agree
        tally.counts["networks that take no size"] += 1
        for at in sizes:
            tally.sizes += 1
            image = [at[a] for a in recipe.axes]
            found = torch_shape(module, [at["N"], recipe.channels, *image])
            if found is None:
                continue
            if recipe.runs(*image):
                yield f"no size is valid, torch: {found} at {at}"
            else:
                tally.counts[_EMPTY] += 1
        return
    except Exception as error:
        yield f"the trace raised {_words(error)}"
        return
    theirs = sum(p.numel() for p in module.parameters())
    if net.params != theirs:
        yield f"{net.params} parameters, torch: {theirs}"
    domain: Any = None
    try:
        domain = net.valid_inputs()
        sizes = [*sizes, *_borders(domain, sizes)]
    except Undecidable:
        tally.counts["domains that no exact set tells"] += 1
    with torch.device(device):
        there = module if device == "meta" else recipe.build()
    for at in sizes:
        tally.sizes += 1
        try:
            yield from _differences_at(recipe, net, domain, module, at, tally)
            yield from _differences_on(device, net, there, module, at, tally)
        except SymcnnError as error:
            yield f"at {at}: {_words(error)}"


def _differences_on(
    device: str, net: Network, there: Any, module: Any, at: dict[str, int], tally: Tally
) -> Iterator[str]:
    """What a device makes of it, beside the module on meta."""
    if device == "meta":
        return
    theirs, meant = torch_shapes(net, there, at, device), torch_shapes(net, module, at)
    tally.counts[f"sizes at which networks ran on {device}"] += theirs is not None
    if theirs is None and meant is not None:
        tally.counts[f"sizes that only {device} refuses"] += 1
    elif theirs != meant:
        yield f"{_shown(theirs)} on {device} at {at}, on meta {_shown(meant)}"


def _differences_at(
    recipe: NetworkRecipe, net: Network, domain: Any, module: Any, at: dict[str, int], tally: Tally
) -> Iterator[str]:
    ours = None
    if first_failure(net, at) is None:
        ours = [tuple(evaluate(d, at) for d in t.dims) for t in net.output_tensors]
    if domain is not None and domain.shown:
        inside = tuple(at[name] for name in domain.shown) in domain
        if inside != (ours is not None):
            yield f"at {at} the layers and the set {domain} differ"
    theirs = torch_shapes(net, module, at)
    tally.counts["sizes that torch refuses"] += theirs is None
    if ours != theirs:
        if ours is None and not recipe.runs(*(at[a] for a in recipe.axes)):
            tally.counts[_EMPTY] += 1
            return
        yield f"{_shown(ours)} at {at}, torch: {_shown(theirs)}"
    elif ours is not None:
        counted, _ = torch_flops(net, module, at, backward=False)
        if (said := net.cost("flops").at(**at).total) != counted:
            yield f"{said} FLOPs at {at}, torch: {counted}"


def _borders(domain: Any, sizes: list[dict[str, int]]) -> Iterator[dict[str, int]]:
    """The valid sizes nearest to two of `sizes`, and one beside each, which may be outside."""
    if not domain or not domain.shown:
        return
    for at in sizes[:2]:
        near = domain.nearest(*(at[name] for name in domain.shown))
        values = near if isinstance(near, tuple) else (near,)
        if max(values) > _FAR:
            continue
        inside = at | dict(zip(domain.shown, values, strict=True))
        yield inside
        first = domain.shown[0]
        if inside[first] > 1:
            yield inside | {first: inside[first] - 1}


def _words(error: Exception) -> str:
    lines = str(error).splitlines()
    return f"{type(error).__name__}: {lines[0] if lines else ''}"


def _shown(answer: Any) -> str:
    return "refuses" if answer is None else str(answer)


# Domains -----------------------------------------------------------------------------------------


def domain_case(seed: int, number: int) -> tuple[NetworkRecipe, Random]:
    """One network whose domain is looked at size by size, and what draws the sizes."""
    from symcnn.testing.networks import draw_network

    source = f"{seed} domain {number}"
    return draw_network(Seeded(source)), Random(source)


def _judge_domain(seed: int, number: int, tally: Tally, _: str) -> None:
    from tests.fuzz.domains import judge

    found = judge(*domain_case(seed, number))
    tally.domains += 1
    tally.counts["sizes at which domains were compared"] += found.sizes
    tally.counts["sizes at which domains were compared, valid"] += found.valid
    tally.counts["fibres compared at all of these sizes"] += found.fibres
    for told in found.mismatches[:1]:
        tally.add(Mismatch(f"domain:{number}", told))


# Fields ------------------------------------------------------------------------------------------


def field_case(seed: int, number: int) -> Mixing:
    """One network whose receptive field is compared with gradients."""
    from tests.fuzz.mixing import draw_mixing

    return draw_mixing(Seeded(f"{seed} field {number}"))


def _judge_field(seed: int, number: int, tally: Tally, _: str) -> None:
    from tests.fuzz.mixing import judge

    recipe = field_case(seed, number)
    found = judge(recipe, number)
    tally.fields += 1
    tally.counts["fields of networks that take none of the sizes tried"] += found.size is None
    tally.counts["output indices whose field was compared"] += found.places
    tally.counts["intervals that are formulas"] += found.formulas
    for told in found.mismatches[:1]:
        tally.add(Mismatch(f"field:{number}", f"{recipe}: {told}"))


# Places ------------------------------------------------------------------------------------------


def place_case(seed: int, number: int) -> Place:
    """One question about places; the questions take turns."""
    from tests.fuzz.places import QUESTIONS, draw_place

    question = QUESTIONS[number % len(QUESTIONS)]
    return draw_place(Seeded(f"{seed} place {number}"), question)


def _judge_place(seed: int, number: int, tally: Tally, _: str) -> None:
    from tests.fuzz.places import judge

    place = place_case(seed, number)
    found = judge(place)
    tally.places += 1
    tally.counts[f"answers of {place.question}"] += not found.refused
    tally.counts["outputs whose place was compared"] += found.compared
    for told in found.mismatches[:1]:
        tally.add(Mismatch(f"place:{number}", f"{place}: {told}"))


# Forms -------------------------------------------------------------------------------------------


def _judge_form(seed: int, number: int, tally: Tally, _: str) -> None:
    from tests.fuzz.forms import draw_call, judge_call

    call = draw_call(seed, number)
    tally.forms += 1
    if call is None:
        tally.counts["calls of operations that torch declares no sample of"] += 1
        return
    found = judge_call(call, symbols=bool(number % 2))
    if found.verdict == "differs":
        tally.add(Mismatch(f"form:{number}", found.told))
    else:
        tally.counts[_VERDICTS[found.verdict]] += 1


_VERDICTS = {
    "agrees": "calls answered, or refused, as torch does",
    "refused": "calls of torch that are refused by name",
    "no form": "calls that are no question about shapes",
}


# Branching networks ------------------------------------------------------------------------------


def branching_case(seed: int, number: int) -> BranchingRecipe:
    """One network whose python branches on sizes; mostly a small one."""
    from symcnn.testing.branching import draw_branching

    source = Seeded(f"{seed} branching {number}")
    return draw_branching(source, source.choose((1, 1, 2, 2, 3)))


def _judge_branching(seed: int, number: int, tally: Tally, _: str) -> None:
    from tests.fuzz.branching import judge

    recipe = branching_case(seed, number)
    found = judge(recipe, branches=64 if number % 8 == 0 else 12)
    tally.branching += 1
    tally.counts["branches followed"] += found.branches
    tally.counts["sizes at which branching networks were compared"] += found.sizes
    tally.counts["sizes at which branching networks were compared, valid"] += found.valid
    tally.counts["outputs whose sizes were compared at all of these"] += found.fibres
    tally.counts["closed forms compared, at sizes"] += found.forms
    tally.counts["branching networks that are not complete"] += not found.complete
    tally.counts["branching networks whose domain no exact set tells"] += not found.decidable
    for told in found.mismatches[:1]:
        tally.add(Mismatch(f"branching:{number}", f"{told}\n{recipe}"))


# Many --------------------------------------------------------------------------------------------

#: What may be judged: one case of each, by its number.
WHAT: dict[str, Callable[[int, int, Tally, str], None]] = {
    "layer": _judge_layer,
    "network": _judge_network,
    "domain": _judge_domain,
    "field": _judge_field,
    "place": _judge_place,
    "form": _judge_form,
    "branching": _judge_branching,
}


def judge_cases(what: str, seed: int, numbers: Iterable[int], device: str = "") -> Tally:
    """These cases, here and now: `what` is one of `WHAT`.

    device: where layers and networks run; "" for layers on the CPU, networks on meta. On a card
    nothing waits for a kernel until the last case is under way.

    >>> tally = judge_cases("layer", 0, range(25))
    >>> tally.layers, tally.wrong
    (25, 0)
    """
    import warnings

    import torch

    torch.set_num_threads(1)
    tally = Tally()
    number = 0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for number in numbers:
            try:
                WHAT[what](seed, number, tally, device)
            except Exception as error:  # of the judge itself: a case not judged is no success
                tally.add(Mismatch(f"{what}:{number}", f"not judged: {_words(error)}"))
        if device.startswith("cuda"):
            try:
                torch.cuda.synchronize(device)
            except Exception as error:  # of a kernel that was started before
                tally.add(Mismatch(f"{what}:{number}", f"this or one before: {_words(error)}"))
    return tally


def parse_case(text: str) -> tuple[str, int]:
    """``"network:17"``, ``"field:17"``, ``"123456"`` for a layer. Raises BadSpec for any other.

    >>> parse_case("network:17"), parse_case("123456")
    (('network', 17), ('layer', 123456))
    """
    what, colon, number = text.rpartition(":")
    what = what if colon else "layer"
    if what not in WHAT or not number.isdecimal():
        raise BadSpec(
            f"{text!r} is no case",
            cure=f"such as layer:123456, {', '.join(f'{w}:17' for w in WHAT if w != 'layer')}",
        )
    return what, int(number)


def told(what: str, seed: int, number: int) -> str:
    """What a case is, for reading: python that makes the layer, or a recipe, and the sizes."""
    if what == "network":
        recipe, sizes = network_case(seed, number)
        return f"network:{number}: {recipe} on {recipe.spec!r} at {sizes}"
    if what == "domain":
        recipe, _ = domain_case(seed, number)
        return f"domain:{number}: {recipe} on {recipe.spec!r} at every size"
    if what == "field":
        return f"field:{number}: {field_case(seed, number)}"
    if what == "place":
        return f"place:{number}: {place_case(seed, number)}"
    if what == "form":
        from tests.fuzz.forms import draw_call

        return f"form:{number}: {draw_call(seed, number)}"
    if what == "branching":
        return f"branching:{number}:\n{branching_case(seed, number)}"
    kind, layer, at = layer_case(seed, number)
    return f"layer:{number} ({kind}): {layer.line(at)}"
