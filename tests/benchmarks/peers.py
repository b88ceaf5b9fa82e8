"""Other tools, asked about the same models in the same run.

Each answers less than everything, most of them at one size. Tools that look at shapes run on the
`meta` device, those that need values on a CPU copy of the same module, with weights as they come.
"""

from __future__ import annotations

import copy
import importlib.util
import logging
import signal
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import nn

import symcnn
from symcnn.errors import SymcnnError
from tests.benchmarks.clock import Spread, interleaved, quiet

__all__ = ["MODELS", "PEERS", "Compared", "compare", "everything", "load"]

#: Seconds after which a tool is given up on.
PATIENCE = 20

NETWORKS = Path(__file__).parents[2] / "examples" / "networks"
SIDE = 224


def load(file: str) -> Any:
    """A file of examples/networks as a module."""
    spec = importlib.util.spec_from_file_location(file, NETWORKS / f"{file}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _example(file: str, name: str) -> Callable[[], nn.Module]:
    return lambda: getattr(load(file), name)()


def _transformers(name: str) -> Callable[[], nn.Module]:
    return lambda: load("hf").MODELS[name]()


#: The models; those of transformers are small in width, their code is the real one.
MODELS: Mapping[str, tuple[Callable[[], nn.Module], str]] = {
    "AlexNet": (_example("alexnet", "AlexNet"), ""),
    "ResNet-50": (_example("resnet", "resnet50"), ""),
    "ResNet-152": (_example("resnet", "resnet152"), ""),
    "DenseNet-121": (_example("densenet", "densenet121"), ""),
    "U-Net": (_example("unet", "UNet"), ""),
    "MobileNetV2": (_example("mobilenet", "mobilenet_v2"), ""),
    "ConvNeXt": (_transformers("ConvNeXt"), "pixel_values"),
    "Swin": (_transformers("Swin"), "pixel_values"),
    "SegFormer": (_transformers("SegFormer"), "pixel_values"),
}


@dataclass(frozen=True)
class Asked:
    """A model as the tools take it."""

    meta: nn.Module
    real: nn.Module
    name: str  # of its input, "" where that is positional

    @property
    def image(self) -> torch.Tensor:
        return torch.empty(1, 3, SIDE, SIDE, device="meta")

    @property
    def pixels(self) -> torch.Tensor:
        return torch.zeros(1, 3, SIDE, SIDE)

    def run(self, module: nn.Module, image: torch.Tensor) -> Any:
        return module(**{self.name: image}) if self.name else module(image)


def ask(name: str) -> Asked:
    """The model `name`, on meta and with (whatever) values."""
    build, keyword = MODELS[name]
    if keyword:
        real = build().eval()
        return Asked(copy.deepcopy(real).to("meta"), real, keyword)
    with torch.device("meta"):
        meta = build().eval()
    return Asked(meta, copy.deepcopy(meta).to_empty(device="cpu"), "")


def everything(asked: Asked) -> list[str]:
    """All that symcnn answers; returned is what it refuses."""
    spec = "N 3 H W"
    net = (
        symcnn.from_torch(asked.meta, **{asked.name: spec})
        if asked.name
        else symcnn.from_torch(asked.meta, spec)
    )
    _ = net.output_shape, net.params, net.macs
    refused = []
    for what, question in (
        ("receptive field", lambda: net.receptive_field().size),
        ("domain", net.valid_inputs),
    ):
        try:
            question()
        except SymcnnError as error:
            refused.append(f"{what}: {error.cause}")
    return refused


def _meta_forward(asked: Asked) -> Any:
    return asked.run(asked.meta, asked.image)


def _export(asked: Asked, *, real: bool = False) -> Any:
    module, image = (asked.real, asked.pixels) if real else (asked.meta, asked.image)
    sizes = {2: torch.export.Dim.AUTO, 3: torch.export.Dim.AUTO}
    if asked.name:
        kwargs = {asked.name: image}
        shapes: Any = {asked.name: sizes}
        return torch.export.export(module, (), kwargs, dynamic_shapes=shapes, strict=False)
    return torch.export.export(module, (image,), dynamic_shapes=(sizes,), strict=False)


def _fx(asked: Asked) -> Any:
    from torch.fx.passes.shape_prop import ShapeProp

    traced = torch.fx.symbolic_trace(asked.meta)
    return ShapeProp(traced).propagate(asked.image)


def _torchinfo(asked: Asked) -> Any:
    import torchinfo

    data: Any = {asked.name: asked.image} if asked.name else (asked.image,)
    return torchinfo.summary(asked.meta, input_data=data, device="meta", verbose=0)


def _fvcore(asked: Asked) -> Any:
    from fvcore.nn import FlopCountAnalysis

    found = FlopCountAnalysis(asked.real, asked.pixels)
    found.unsupported_ops_warnings(False).uncalled_modules_warnings(False)
    return found.total()


def _torchscan(asked: Asked) -> Any:
    from torchscan import crawl_module

    return crawl_module(asked.real, (3, SIDE, SIDE))


def _ptflops(asked: Asked) -> Any:
    from ptflops import get_model_complexity_info

    shape = (3, SIDE, SIDE)
    macs, _ = get_model_complexity_info(
        asked.real, shape, print_per_layer_stat=False, as_strings=False, backend="pytorch"
    )
    if macs is None:
        raise RuntimeError("ptflops gave no number")
    return macs


def _thop(asked: Asked) -> Any:
    import thop

    return thop.profile(asked.real, inputs=(asked.pixels,), verbose=False)


def _onnx(asked: Asked) -> Callable[[], Any]:
    """The export is done before, and not timed; what is timed starts from the file."""
    from onnxruntime.tools.symbolic_shape_infer import SymbolicShapeInference

    program = torch.onnx.export(
        _export(asked, real=True), dynamo=True, optimize=True, verbose=False
    )
    assert program is not None
    whole = program.model_proto
    del whole.graph.value_info[:]  # the shapes that the export has found already
    for weight in whole.graph.initializer:  # shapes need no weights, only small constants
        if len(weight.raw_data) > 4096:
            weight.ClearField("raw_data")
    return lambda: SymbolicShapeInference.infer_shapes(copy.deepcopy(whole), auto_merge=True)


@dataclass(frozen=True)
class Peer:
    """A tool: what it answers, for which sizes, and how it is asked."""

    name: str
    sizes: str
    answers: str
    package: str
    ask: Callable[[Asked], Any]
    prepared: bool = False  # `ask` gives the function to time


PEERS = (
    Peer("one meta forward", "one", "shapes", "torch", _meta_forward),
    Peer("torch.export, dynamic H and W", "all", "shapes, part of the domain", "torch", _export),
    Peer("onnxruntime symbolic shapes", "all", "shapes", "onnxruntime", _onnx, prepared=True),
    Peer("torch.fx + ShapeProp (meta)", "one", "shapes", "torch", _fx),
    Peer("torchinfo (meta)", "one", "shapes, params, MACs", "torchinfo", _torchinfo),
    Peer("fvcore", "one", "MACs", "fvcore", _fvcore),
    Peer(
        "torchscan",
        "one",
        "shapes, params, MACs, receptive field of chains",
        "torchscan",
        _torchscan,
    ),
    Peer("ptflops", "one", "params, MACs", "ptflops", _ptflops),
    Peer("thop", "one", "params, MACs", "thop", _thop),
)


class Late(BaseException):
    """No `Exception`: exporters catch those and try another way."""


@contextmanager
def _limited(seconds: float) -> Iterator[None]:
    def late(*_: Any) -> None:
        raise Late(f"not done after {seconds:g} s")

    before = signal.signal(signal.SIGALRM, late)
    signal.setitimer(signal.ITIMER_REAL, seconds, 1)  # again, if one is swallowed
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


@dataclass
class Compared:
    """One model: our time, theirs, and why some gave none."""

    model: str
    ours: Spread
    refused: list[str]
    times: dict[str, Spread] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, found: Mapping[str, Any]) -> Compared:
        """From what ``asdict`` makes."""
        times = {tool: Spread(**time) for tool, time in found["times"].items()}
        return cls(**{**found, "ours": Spread(**found["ours"]), "times": times})


def compare(model: str, seconds: float = 8.0) -> Compared:
    """A model before every tool; at most so many seconds of repetitions."""
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings(), quiet(), torch.no_grad():
            warnings.simplefilter("ignore")
            return _compared(model, seconds)
    finally:
        logging.disable(logging.NOTSET)


def _compared(model: str, seconds: float) -> Compared:
    asked = ask(model)
    refused = everything(asked)
    able: dict[str, Callable[[], Any]] = {}
    failed: dict[str, str] = {}
    for peer in PEERS:
        try:  # a tool may fail in any way
            with _limited(PATIENCE):
                run = peer.ask(asked) if peer.prepared else partial(peer.ask, asked)
                run()
            able[peer.name] = run
        except (Exception, SystemExit, Late) as error:
            lines = str(error).strip().splitlines() or [""]
            kind = "" if isinstance(error, Late) else f"{type(error).__name__}: "
            failed[peer.name] = f"{kind}{lines[0][:110]}"
    ours, *theirs = interleaved(
        lambda: everything(asked), *able.values(), runs=5, seconds=seconds, warm=False
    )
    return Compared(model, ours, refused, dict(zip(able, theirs, strict=True)), failed)
