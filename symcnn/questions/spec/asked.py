"""The question about other tools, as a method of a network."""

from __future__ import annotations

from typing import TYPE_CHECKING

from symcnn.trace.trace import Trace

if TYPE_CHECKING:
    from symcnn.questions.spec.spec import Spec


class Specs(Trace):
    """What other tools are to be told of the sizes."""

    def spec(self, target: str, **sizes: int | range) -> Spec:
        """The sizes that the network takes, as another tool wants them said.

        Args:
            target: "torch.export" (``dynamic_shapes`` with a Dim per size), "jax" (symbolic
                shapes and constraints), "tensorrt" (an optimization profile), "openvino" (partial
                shapes), "onnx" (names of dimensions), "bioimageio" (inputs and outputs of a model
                description: min, step, scale, offset, halo), "spandrel" (SizeRequirements), or
                "jaxtyping" (annotations of the forward).
            sizes: what is asked of a size: a number, ``range(32, 1025)``, ``(min, max)``, or
                ``(min, opt, max)`` for a profile.

        Returns:
            `Spec`: ``.parts``, one for each residue class and branch, each with its sizes, the
            data and the text; ``.text``, all of them; ``.loses``, what the format cannot say.

        Raises:
            BadSpec: for a format, or a size, that does not exist.
            NoSolution: if the network takes no such size.

        >>> from symcnn import nn
        >>> stem = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.MaxPool2d(4))
        >>> net = nn.Sequential(stem, nn.Upsample(scale_factor=4)).trace("N 3 H W")
        >>> print(net.spec("torch.export").text)
        from torch.export import Dim
        <BLANKLINE>
        N = Dim("N")
        H = Dim("H", min=8)
        W = Dim("W", min=8)
        dynamic_shapes = ({0: N, 2: H, 3: W},)
        """
        from symcnn.questions.spec.spec import spec

        return spec(self, target, sizes)
