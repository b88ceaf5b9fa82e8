"""Vision models that nobody here wrote: `transformers`, with random weights and small widths.

Nothing is downloaded; each factory builds a model from a configuration, so that depths and widths
are small and the code paths are the real ones. `SPECS` gives the input shape of each.
"""

from __future__ import annotations

from collections.abc import Callable

import transformers as hf
from torch import nn

_FOUR = {"hidden_sizes": [8, 16, 32, 64], "depths": [1, 1, 1, 1]}
_VIT = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 32,
}
_SWIN = {"embed_dim": 12, "depths": [1, 2, 1, 1], "num_heads": [1, 2, 2, 4]}
_DINO = hf.Dinov2Config(
    hidden_size=32,
    num_hidden_layers=4,
    num_attention_heads=2,
    image_size=70,
    out_indices=[1, 2, 3, 4],
    reshape_hidden_states=False,
    apply_layernorm=True,
)
_BACKBONE = hf.ConvNextConfig(**_FOUR, out_features=["stage1", "stage2", "stage3", "stage4"])
_STAGES = ["stage1", "stage2", "stage3", "stage4"]
_RESNET = hf.ResNetConfig(embedding_size=8, out_features=_STAGES, **_FOUR)
_MASK2FORMER = hf.Mask2FormerConfig(
    backbone_config=hf.SwinConfig(**_SWIN, out_features=_STAGES),
    feature_size=32,
    mask_feature_size=32,
    hidden_dim=32,
    num_attention_heads=2,
    encoder_layers=1,
    decoder_layers=2,
    encoder_feedforward_dim=32,
    dim_feedforward=32,
)
_DAC = hf.DacConfig(
    encoder_hidden_size=4,
    decoder_hidden_size=64,
    downsampling_ratios=[2, 4],
    upsampling_ratios=[4, 2],
    hidden_size=16,
)

MODELS: dict[str, Callable[[], nn.Module]] = {
    "ResNet": lambda: hf.ResNetModel(hf.ResNetConfig(embedding_size=8, **_FOUR)),
    "RegNet": lambda: hf.RegNetModel(hf.RegNetConfig(embedding_size=8, groups_width=8, **_FOUR)),
    "ConvNeXt": lambda: hf.ConvNextModel(hf.ConvNextConfig(**_FOUR)),
    "ConvNeXtV2": lambda: hf.ConvNextV2Model(hf.ConvNextV2Config(**_FOUR)),
    "EfficientNet": lambda: hf.EfficientNetModel(
        hf.EfficientNetConfig(width_coefficient=1.0, depth_coefficient=1.0, hidden_dim=1280)
    ),
    "MobileNetV1": lambda: hf.MobileNetV1Model(hf.MobileNetV1Config(depth_multiplier=0.25)),
    "MobileNetV2": lambda: hf.MobileNetV2Model(hf.MobileNetV2Config(depth_multiplier=0.25)),
    "MobileViT": lambda: hf.MobileViTModel(hf.MobileViTConfig()),
    "MobileViTV2": lambda: hf.MobileViTV2Model(hf.MobileViTV2Config()),
    "Swin": lambda: hf.SwinModel(hf.SwinConfig(**_SWIN)),
    "Swin at 224": lambda: hf.SwinForImageClassification(
        hf.SwinConfig(embed_dim=24, depths=[1, 1, 2, 1])
    ),
    "Swinv2": lambda: hf.Swinv2Model(hf.Swinv2Config(**_SWIN)),
    "ViT": lambda: hf.ViTModel(hf.ViTConfig(**_VIT)),
    "DeiT": lambda: hf.DeiTModel(hf.DeiTConfig(**_VIT)),
    "BEiT": lambda: hf.BeitModel(hf.BeitConfig(**_VIT)),
    "DINOv2": lambda: hf.Dinov2Model(_DINO),
    "CLIP vision": lambda: hf.CLIPVisionModel(hf.CLIPVisionConfig(**_VIT)),
    "SigLIP vision": lambda: hf.SiglipVisionModel(hf.SiglipVisionConfig(**_VIT)),
    "SegFormer": lambda: hf.SegformerForSemanticSegmentation(
        hf.SegformerConfig(decoder_hidden_size=32, **_FOUR)
    ),
    "PoolFormer": lambda: hf.PoolFormerModel(hf.PoolFormerConfig(**_FOUR)),
    "FocalNet": lambda: hf.FocalNetModel(hf.FocalNetConfig(embed_dim=12, depths=[1, 1, 1, 1])),
    "PVT": lambda: hf.PvtModel(hf.PvtConfig(num_attention_heads=[1, 1, 1, 1], **_FOUR)),
    "PVTv2": lambda: hf.PvtV2Model(hf.PvtV2Config(num_attention_heads=[1, 1, 1, 1], **_FOUR)),
    "LeViT": lambda: hf.LevitModel(
        hf.LevitConfig(
            hidden_sizes=[16, 32, 48],
            num_attention_heads=[1, 2, 3],
            depths=[1, 1, 1],
            key_dim=[8] * 3,
        )
    ),
    "CvT": lambda: hf.CvtModel(hf.CvtConfig(embed_dim=[8, 16, 32], num_heads=[1, 2, 4])),
    "DPT": lambda: hf.DPTForDepthEstimation(
        hf.DPTConfig(
            **{**_VIT, "num_hidden_layers": 4},
            backbone_out_indices=[0, 1, 2, 3],
            neck_hidden_sizes=[8, 16, 32, 32],
            fusion_hidden_size=16,
        )
    ),
    "Depth Anything": lambda: hf.DepthAnythingForDepthEstimation(
        hf.DepthAnythingConfig(
            backbone_config=_DINO,
            reassemble_hidden_size=32,
            neck_hidden_sizes=[8, 16, 32, 32],
            fusion_hidden_size=16,
        )
    ),
    "GLPN": lambda: hf.GLPNForDepthEstimation(
        hf.GLPNConfig(hidden_sizes=[8, 16, 40, 64], depths=[1, 1, 1, 1])
    ),
    "UperNet": lambda: hf.UperNetForSemanticSegmentation(
        hf.UperNetConfig(backbone_config=_BACKBONE, hidden_size=32, auxiliary_in_channels=32)
    ),
    "Swin2SR": lambda: hf.Swin2SRForImageSuperResolution(
        hf.Swin2SRConfig(embed_dim=12, depths=[2, 1], num_heads=[2, 2], window_size=8)
    ),
    "RT-DETR backbone": lambda: hf.RTDetrResNetBackbone(
        hf.RTDetrResNetConfig(embedding_size=8, **_FOUR)
    ),
    "RT-DETR": lambda: hf.RTDetrForObjectDetection(
        hf.RTDetrConfig(
            backbone_config=hf.RTDetrResNetConfig(
                embedding_size=8, out_features=["stage2", "stage3", "stage4"], **_FOUR
            ),
            encoder_in_channels=_FOUR["hidden_sizes"][1:],
            d_model=32,
            encoder_hidden_dim=32,
            encoder_ffn_dim=32,
            decoder_in_channels=[32, 32, 32],
            decoder_ffn_dim=32,
            decoder_layers=1,
            encoder_attention_heads=2,
            decoder_attention_heads=2,
        )
    ),
    "HGNetV2 (D-FINE)": lambda: hf.HGNetV2Backbone(hf.HGNetV2Config()),
    "BiT": lambda: hf.BitModel(
        hf.BitConfig(embedding_size=64, hidden_sizes=[128, 256, 384, 512], depths=[1, 1, 1, 1])
    ),
    "Hiera": lambda: hf.HieraModel(
        hf.HieraConfig(embed_dim=16, depths=[1, 1, 1, 1], num_heads=[1, 2, 2, 4])
    ),
    "DINOv3 ConvNeXt": lambda: hf.DINOv3ConvNextModel(hf.DINOv3ConvNextConfig(**_FOUR)),
    "SAM vision": lambda: hf.SamVisionModel(
        hf.SamVisionConfig(
            hidden_size=32,
            num_hidden_layers=2,
            num_attention_heads=2,
            global_attn_indexes=[1],
            output_channels=16,
            image_size=256,
        )
    ),
    "Wav2Vec2 features": lambda: (
        hf.Wav2Vec2Model(hf.Wav2Vec2Config(**_VIT, conv_dim=[8] * 7)).feature_extractor
    ),
    "EnCodec encoder": lambda: (
        hf.EncodecModel(hf.EncodecConfig(num_filters=4, hidden_size=8)).encoder
    ),
    "VideoMAE": lambda: hf.VideoMAEModel(hf.VideoMAEConfig(**_VIT)),
    "EnCodec decoder": lambda: (
        hf.EncodecModel(hf.EncodecConfig(num_filters=4, hidden_size=8)).decoder
    ),
    "DAC encoder": lambda: hf.DacModel(_DAC).encoder,
    "UnivNet": lambda: hf.UnivNetModel(hf.UnivNetConfig()),
    "MaskFormer pixel module": lambda: (
        hf.MaskFormerModel(
            hf.MaskFormerConfig(backbone_config=_RESNET, fpn_feature_size=32, mask_feature_size=32)
        ).pixel_level_module
    ),
    "Mask2Former pixel module": lambda: hf.Mask2FormerModel(_MASK2FORMER).pixel_level_module,
    "SAM vision, 512": lambda: hf.SamVisionModel(
        hf.SamVisionConfig(
            hidden_size=32,
            num_hidden_layers=2,
            num_attention_heads=2,
            global_attn_indexes=[1],
            output_channels=16,
            image_size=512,
        )
    ),
    "SAM2 Hiera": lambda: hf.Sam2HieraDetModel(
        hf.Sam2HieraDetConfig(
            hidden_size=16,
            num_attention_heads=1,
            blocks_per_stage=[1, 2, 2, 1],
            embed_dim_per_stage=[16, 32, 64, 128],
            num_attention_heads_per_stage=[1, 1, 2, 2],
            global_attention_blocks=[4],
        )
    ),
    "YOLOS": lambda: hf.YolosModel(hf.YolosConfig(**_VIT)),
    "ViTDet": lambda: hf.VitDetModel(
        hf.VitDetConfig(
            hidden_size=32,
            num_hidden_layers=2,
            num_attention_heads=2,
            window_block_indices=[0],
            window_size=14,
        )
    ),
    "SwiftFormer": lambda: hf.SwiftFormerModel(
        hf.SwiftFormerConfig(depths=[1, 1, 1, 1], embed_dims=[8, 16, 24, 32])
    ),
    "TextNet": lambda: hf.TextNetModel(hf.TextNetConfig()),
    "SuperPoint encoder": lambda: hf.SuperPointForKeypointDetection(hf.SuperPointConfig()).encoder,
    "Data2Vec vision": lambda: hf.Data2VecVisionModel(hf.Data2VecVisionConfig(**_VIT)),
    "ZoeDepth": lambda: hf.ZoeDepthForDepthEstimation(
        hf.ZoeDepthConfig(
            backbone_config=hf.BeitConfig(
                **{**_VIT, "num_hidden_layers": 4},
                image_size=64,
                out_features=["stage1", "stage2", "stage3", "stage4"],
                reshape_hidden_states=False,
            ),
            neck_hidden_sizes=[8, 16, 32, 32],
            fusion_hidden_size=16,
            bottleneck_features=16,
            num_relative_features=16,
        )
    ),
    "TimeSformer": lambda: hf.TimesformerModel(hf.TimesformerConfig(**_VIT)),
    "ViViT": lambda: hf.VivitModel(hf.VivitConfig(**_VIT)),
    "V-JEPA 2 encoder": lambda: (
        hf.VJEPA2Model(
            hf.VJEPA2Config(
                hidden_size=32,
                num_hidden_layers=2,
                num_attention_heads=2,
                pred_hidden_size=32,
                pred_num_attention_heads=2,
                pred_num_hidden_layers=1,
            )
        ).encoder
    ),
    "I-JEPA": lambda: hf.IJepaModel(hf.IJepaConfig(**_VIT)),
    "DINOv3 ViT": lambda: hf.DINOv3ViTModel(hf.DINOv3ViTConfig(**_VIT)),
    "Whisper encoder": lambda: (
        hf.WhisperModel(
            hf.WhisperConfig(
                d_model=32,
                encoder_layers=1,
                decoder_layers=1,
                encoder_attention_heads=2,
                decoder_attention_heads=2,
                encoder_ffn_dim=32,
                decoder_ffn_dim=32,
            )
        ).encoder
    ),
    "DETR": lambda: hf.DetrModel(
        hf.DetrConfig(
            use_timm_backbone=False,
            use_pretrained_backbone=False,
            backbone=None,
            backbone_config=hf.ResNetConfig(embedding_size=8, out_features=["stage4"], **_FOUR),
            d_model=32,
            encoder_layers=1,
            decoder_layers=1,
            encoder_attention_heads=2,
            decoder_attention_heads=2,
            encoder_ffn_dim=32,
            decoder_ffn_dim=32,
            num_queries=5,
        )
    ),
}

SPECS = {
    "Wav2Vec2 features": "N L",
    "EnCodec encoder": "N 1 L",
    "VideoMAE": "N 16 3 H W",
    "EnCodec decoder": "N 8 L",
    "DAC encoder": "N 1 L",
    "UnivNet": "N L 100",
    "SuperPoint encoder": "N 1 H W",
    "TimeSformer": "N 8 3 H W",
    "ViViT": "N 32 3 H W",
    "V-JEPA 2 encoder": "N 8 3 H W",
    "Whisper encoder": "N 80 L",
}

#: Sizes by which open branches are taken, where 224 will not do: at 224 the last stage of Swin is
#: smaller than its window, and takes the map itself for one.
EXAMPLES = {"Swin": {"H": 448, "W": 448}, "Swinv2": {"H": 448, "W": 448}}

#: Models that read values of buffers or masks, which the meta device has none of.
READS_VALUES = {"EnCodec encoder", "EnCodec decoder", "DETR"}


def spec(name: str) -> str:
    """The input shape of a model."""
    return SPECS.get(name, "N 3 H W")
