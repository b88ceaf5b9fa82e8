"""The effective receptive field: how much each pixel counts, in numbers, from torch.

The theoretical field (`symcnn.questions.field.receptive_field`) says which pixels can reach an
output;
gradients say how much they do, for given weights. Most of the weight lies in the middle: Luo, Li,
Urtasun and Zemel, *Understanding the effective receptive field* (NeurIPS 2016).
"""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from symcnn.algebra.size import evaluate
from symcnn.errors import BadSpec, needs
from symcnn.frontends import from_torch
from symcnn.shown import Shown

if TYPE_CHECKING:
    import torch
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class EffectiveField(Shown):
    """Gradient magnitudes of one output place, and the box that the theory draws around them."""

    values: Any  # numpy: input sizes per spatial axis; the largest is 1
    box: tuple[tuple[int, int], ...]  # first and last input index per axis
    place: tuple[int, ...]  # the output index

    def __str__(self) -> str:
        sides = " x ".join(f"{first} to {last}" for first, last in self.box)
        return (
            f"output {self.place} can see {sides}; "
            f"{self.share():.0%} of it counts for 5% of the most or more"
        )

    def share(self, level: float = 0.05) -> float:
        """Which share of the box has at least `level` of the largest magnitude."""
        inside = self.values[tuple(slice(a, b + 1) for a, b in self.box)]
        return float((inside >= level).mean())

    def plot(self, ax: Axes | None = None) -> Figure:
        """The magnitudes as a picture, the theoretical box on top; for two axes.

        Args:
            ax: axes of your own to draw on.

        Returns:
            A matplotlib figure; ``.savefig("field.png")`` writes it.

        Raises:
            MissingExtra: matplotlib is not installed.
            BadSpec: a field of another number of axes.
        """
        with needs("plot", "figures"):
            from symcnn.notation.places import effective
        return effective(self.values, self.box, self.place, ax)


def effective_receptive_field(
    module: torch.nn.Module,
    spec: str,
    *,
    at: str | None = None,
    samples: int = 16,
    seed: int = 0,
    **sizes: int,
) -> EffectiveField:
    """How much each pixel counts for the centre output: mean gradients over random inputs.

    Args:
        module: a ``torch.nn.Module``, with the weights to look at; a copy is run, in eval mode.
        spec: the shape of its input, ``"N 3 H W"``.
        at: a submodule to look at instead of the output.
        samples: how many random inputs.
        seed: reproduces them.
        sizes: every size of the input; a batch of 1 if not given.

    Returns:
        Magnitudes per pixel, the largest 1, and the box that the theory draws around them.

    Raises:
        BadSpec: for several inputs, an output that is no map, or an unknown submodule.
        MissingExtra: without torch.

    >>> import torch
    >>> stack = torch.nn.Sequential(*(torch.nn.Conv2d(1, 1, 3, bias=False) for _ in range(4)))
    >>> field = effective_receptive_field(stack, "N 1 H W", H=21, W=21)
    >>> field.box, field.values.shape
    (((6, 14), (6, 14)), (21, 21))
    """
    with needs("torch", "gradients"):
        import torch

    module = deepcopy(module)
    module.eval()  # which need not return it
    net = from_torch(module, spec)
    (given,) = net.inputs[:1] if len(net.inputs) == 1 else (None,)
    if given is None:
        raise BadSpec("the effective receptive field is for networks of one input")
    field = net.receptive_field(at)
    exact = field.at(**sizes)
    shape = [int(evaluate(d, exact.values)) for d in net.input_tensors[0].dims]
    spatial = field.input_axes

    caught: list[torch.Tensor] = []
    if at is not None:
        found = dict(module.named_modules()).get(at)
        if found is None:
            raise BadSpec(f"at={at!r} is no submodule, whose output could be looked at")
        found.register_forward_hook(lambda _module, _inputs, output: caught.append(output))
    generator = torch.Generator().manual_seed(seed)
    total: Any = 0
    place: tuple[int, ...] = ()
    for _ in range(samples):
        image = torch.randn(*shape, generator=generator, requires_grad=True)
        caught.clear()
        output = module(image)
        output = caught[-1] if at is not None else output
        if not isinstance(output, torch.Tensor) or output.ndim < 2 + len(spatial):
            raise BadSpec("the output is no map", cure='name one: at="layer4"')
        place = tuple(n // 2 for n in output.shape[-len(spatial) :])
        centre: torch.Tensor = output
        for i in reversed(place):
            centre = centre[..., i]
        (gradient,) = torch.autograd.grad(centre.sum(), image)
        others = [k for k in range(image.ndim) if k not in spatial]
        total = total + gradient.abs().sum(others)
    box = tuple(exact.interval(i, axis) or (0, -1) for axis, i in enumerate(place))
    values = (total / total.max().clamp_min(1e-30)).numpy()
    return EffectiveField(values, box, place)
