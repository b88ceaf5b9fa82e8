"""One model of every family of timm, and networks of monai and diffusers: `make families`.

None of them was looked at before it was traced; docs/families.md says what came of each. timm asks
for torchvision when it is imported, for its image transforms, which no model needs: where there is
none, something stands in its place.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import Any
from unittest.mock import MagicMock

import diffusers
import monai
import torch
from monai.networks import nets

from tests.tools import zoo

_STANDS_IN = """transforms transforms.functional transforms.v2 models models.feature_extraction ops
ops.misc datasets io""".split()


class _Anything(ModuleType):
    """A module in which everything can be found."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return MagicMock(name=name)


if find_spec("torchvision") is None:
    for _name in ("torchvision", *(f"torchvision.{part}" for part in _STANDS_IN)):
        sys.modules[_name] = _Anything(_name)
        sys.modules[_name].__path__ = []

import timm  # noqa: E402

HEAD = f"""# Families of models

A small model of every family of timm {timm.__version__}, then networks of monai
{monai.__version__} and diffusers {diffusers.__version__}, with random weights, traced unmodified
and compared with torch {torch.__version__.split("+")[0]} on the meta device, models that index
tables with positions on the CPU: at up to 6 sizes inside and 4 outside the domain, FLOPs at two.
The columns are those of [the zoo](zoo.md).
"""

#: Parts of names of small models, the smallest first.
_SMALL = "atto femto pico nano tiny mini xxs xs small _s 18 26 lite b0".split()


#: These index tables with positions: on meta torch does not look whether there are such places.
READS_VALUES = {"mvitv2_tiny"}


def _smallness(name: str) -> tuple[int, int, str]:
    return next((i for i, part in enumerate(_SMALL) if part in name), 99), len(name), name


def _of_timm(name: str) -> torch.nn.Module:
    made: torch.nn.Module = timm.create_model(name)
    return made.eval()


def of_timm() -> Iterator[zoo.Model]:
    """A small model of every family."""
    from timm.models._registry import _model_to_module

    families: dict[str, list[str]] = {}
    for name in timm.list_models():
        families.setdefault(_model_to_module[name], []).append(name)
    for _, names in sorted(families.items()):
        name = min(names, key=_smallness)
        device = "cpu" if name in READS_VALUES else "meta"
        yield zoo.Model(name, partial(_of_timm, name), ("N 3 H W",), device=device)


def _vae(kind: Any) -> torch.nn.Module:
    return kind(
        block_out_channels=(8, 16),
        down_block_types=("DownEncoderBlock2D",) * 2,
        up_block_types=("UpDecoderBlock2D",) * 2,
        norm_num_groups=4,
    )


def _unet() -> torch.nn.Module:
    return diffusers.UNet2DModel(
        block_out_channels=(8, 16, 16),
        down_block_types=("DownBlock2D", "AttnDownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "AttnUpBlock2D", "UpBlock2D"),
        norm_num_groups=4,
        attention_head_dim=4,
    )


def _conditional() -> torch.nn.Module:
    return diffusers.UNet2DConditionModel(
        block_out_channels=(8, 16),
        down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
        norm_num_groups=4,
        attention_head_dim=4,
        cross_attention_dim=16,
        layers_per_block=1,
    )


_FLAT, _SOLID = "N 1 H W", "N 1 D H W"
_WIDE = (8, 8, 16, 16, 32, 8)

#: Networks of monai and diffusers, and their inputs.
OTHERS: dict[str, tuple[Callable[[], torch.nn.Module], tuple[str, ...]]] = {
    "monai UNet": (
        lambda: nets.UNet(2, 1, 2, (8, 16, 32, 64), (2, 2, 2), num_res_units=2),
        (_FLAT,),
    ),
    "monai UNet, 3-D": (lambda: nets.UNet(3, 1, 2, (8, 16, 32), (2, 2)), (_SOLID,)),
    "monai BasicUNet": (lambda: nets.BasicUNet(2, 1, 2, _WIDE), (_FLAT,)),
    "monai BasicUNet++": (lambda: nets.BasicUNetPlusPlus(2, 1, 2, _WIDE), (_FLAT,)),
    "monai AttentionUnet": (lambda: nets.AttentionUnet(2, 1, 2, (8, 16, 32), (2, 2)), (_FLAT,)),
    "monai SegResNet": (lambda: nets.SegResNet(2, 8, 1, 2), (_FLAT,)),
    "monai SegResNetDS": (lambda: nets.SegResNetDS(2, 8, 1, 2), (_FLAT,)),
    "monai VNet, 3-D": (lambda: nets.VNet(3, 1, 2), (_SOLID,)),
    "monai DynUNet": (
        lambda: nets.DynUNet(2, 1, 2, [3, 3, 3], [1, 2, 2], [2, 2], filters=[8, 16, 32]),
        (_FLAT,),
    ),
    "monai HighResNet": (lambda: nets.HighResNet(2, 1, 2), (_FLAT,)),
    "monai MedNeXt": (
        lambda: nets.MedNeXt(2, init_filters=8, in_channels=1, out_channels=2),
        (_FLAT,),
    ),
    "monai DenseNet121": (lambda: nets.DenseNet121(2, 1, 3), (_FLAT,)),
    "monai ResNet-18, 3-D": (
        lambda: nets.resnet18(spatial_dims=3, n_input_channels=1, num_classes=3),
        (_SOLID,),
    ),
    "diffusers AutoencoderKL": (lambda: _vae(diffusers.AutoencoderKL), ("N 3 H W",)),
    "diffusers VQModel": (lambda: _vae(diffusers.VQModel), ("N 3 H W",)),
    "diffusers AutoencoderTiny": (diffusers.AutoencoderTiny, ("N 3 H W",)),
    "diffusers UNet2D": (_unet, ("N 3 H W", "N")),
    "diffusers UNet2DCondition": (_conditional, ("N 4 H W", "N", "N L 16")),
}


def models() -> list[zoo.Model]:
    """The models of the page."""
    others = [zoo.Model(name, make, specs) for name, (make, specs) in OTHERS.items()]
    return [*of_timm(), *others]


def main() -> None:
    """Write the page."""
    page = Path(__file__).parents[2] / "docs" / "families.md"
    zoo.run(models(), HEAD, "make families", page, insides=6, outsides=4, costed=2)


if __name__ == "__main__":
    main()
