"""Multi-head attention and the transformer, in eval mode."""

from __future__ import annotations

from copy import deepcopy
from typing import Any, ClassVar

from symcnn.errors import ShapeMismatch
from symcnn.nn.activation import Dropout
from symcnn.nn.hyper import positive
from symcnn.nn.linear import Linear
from symcnn.nn.module import Module, ModuleList
from symcnn.nn.norm import LayerNorm
from symcnn.ops.conv import group_channels
from symcnn.ops.registry import require_rank
from symcnn.trace.graph import OPS, Parameter, SymbolicTensor, apply


class MultiheadAttention(Module):
    """As `torch.nn.MultiheadAttention`: the output, and the attention weights or None.

    >>> net = MultiheadAttention(64, 8, batch_first=True).trace("N L 64", "N S 64", "N S 64")
    >>> net.output_shape
    ((N, L, 64), (N, L, S))
    """

    def __init__(
        self,
        embed_dim: Any,
        num_heads: int,
        dropout: float = 0.0,
        bias: bool = True,
        add_bias_kv: bool = False,
        add_zero_attn: bool = False,
        kdim: Any = None,
        vdim: Any = None,
        batch_first: bool = False,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        width = self.embed_dim = positive(embed_dim, "embed_dim")
        if not isinstance(num_heads, int):
            raise ShapeMismatch(f"num_heads={num_heads!r}", cure="give a whole number")
        self.num_heads = positive(num_heads, "num_heads")
        self.head_dim = group_channels(width, self.num_heads, "embed_dim")
        self.kdim = width if kdim is None else positive(kdim, "kdim")
        self.vdim = width if vdim is None else positive(vdim, "vdim")
        self.dropout, self.add_zero_attn, self.batch_first = dropout, add_zero_attn, batch_first
        self.in_proj_weight = self.q_proj_weight = None
        self.k_proj_weight = self.v_proj_weight = None
        if self.kdim == width and self.vdim == width:
            self.in_proj_weight = Parameter((3 * width, width), "in_proj_weight")
        else:
            self.q_proj_weight = Parameter((width, width), "q_proj_weight")
            self.k_proj_weight = Parameter((width, self.kdim), "k_proj_weight")
            self.v_proj_weight = Parameter((width, self.vdim), "v_proj_weight")
        self.in_proj_bias = Parameter((3 * width,), "in_proj_bias") if bias else None
        self.out_proj = Linear(width, width, bias)
        self.bias_k = Parameter((1, 1, width), "bias_k") if add_bias_kv else None
        self.bias_v = Parameter((1, 1, width), "bias_v") if add_bias_kv else None

    def forward(
        self,
        query: SymbolicTensor,
        key: SymbolicTensor,
        value: SymbolicTensor,
        key_padding_mask: SymbolicTensor | None = None,
        need_weights: bool = True,
        attn_mask: SymbolicTensor | None = None,
        average_attn_weights: bool = True,
        is_causal: bool = False,
    ) -> tuple[SymbolicTensor, SymbolicTensor | None]:
        """What every place of the query reads, and how much of each key, if `need_weights`."""
        if is_causal and attn_mask is None:
            raise ShapeMismatch("multi_head_attention: is_causal=True", cure="give attn_mask too")
        for tensor in (query, key, value):
            require_rank(tensor, (2, 3), "multi_head_attention")
        swapped = self.batch_first and query.ndim == 3
        if swapped:
            query, key, value = (apply("transpose", x, 0, 1) for x in (query, key, value))
        output, weights = OPS["multi_head_attention_forward"](
            query,
            key,
            value,
            self.embed_dim,
            self.num_heads,
            self.in_proj_weight,
            self.in_proj_bias,
            self.bias_k,
            self.bias_v,
            self.add_zero_attn,
            self.dropout,
            self.out_proj.weight,
            self.out_proj.bias,
            training=False,
            key_padding_mask=key_padding_mask,
            need_weights=need_weights,
            attn_mask=attn_mask,
            use_separate_proj_weight=self.in_proj_weight is None,
            q_proj_weight=self.q_proj_weight,
            k_proj_weight=self.k_proj_weight,
            v_proj_weight=self.v_proj_weight,
            average_attn_weights=average_attn_weights,
            is_causal=is_causal,
        )
        return (apply("transpose", output, 0, 1) if swapped else output), weights


#: A memory, or None for what attends itself; a mask, a mask of padding, and whether it is causal.
Attends = tuple["SymbolicTensor | None", "SymbolicTensor | None", "SymbolicTensor | None", bool]


class _TransformerLayer(Module):
    attentions: ClassVar[tuple[str, ...]]
    self_attn: MultiheadAttention
    norm1: LayerNorm
    norm2: LayerNorm
    dropout1: Dropout
    dropout2: Dropout

    def __init__(
        self,
        d_model: Any,
        nhead: int,
        dim_feedforward: Any = 2048,
        dropout: float = 0.1,
        activation: Any = "relu",
        layer_norm_eps: float = 1e-5,
        batch_first: bool = False,
        norm_first: bool = False,
        bias: bool = True,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        if not callable(activation) and activation not in ("relu", "gelu"):
            raise ShapeMismatch(f"activation={activation!r}", cure='"relu", "gelu" or a function')
        for name in self.attentions:
            attention = MultiheadAttention(d_model, nhead, dropout, bias, batch_first=batch_first)
            setattr(self, name, attention)
        self.linear1 = Linear(d_model, dim_feedforward, bias)
        self.dropout = Dropout(dropout)
        self.linear2 = Linear(dim_feedforward, d_model, bias)
        self.norm_first = norm_first
        steps = range(1, len(self.attentions) + 2)
        for i in steps:
            setattr(self, f"norm{i}", LayerNorm(d_model, layer_norm_eps, bias=bias))
        for i in steps:
            setattr(self, f"dropout{i}", Dropout(dropout))
        self.activation = activation if callable(activation) else OPS[activation]

    def _added(self, x: SymbolicTensor, *attends: Attends) -> SymbolicTensor:
        """The attentions and two linear layers, each added to its input and normalised."""
        for i in range(len(attends) + 1):
            norm, dropout = getattr(self, f"norm{i + 1}"), getattr(self, f"dropout{i + 1}")
            y = norm(x) if self.norm_first else x
            if i < len(attends):
                memory, mask, padding, causal = attends[i]
                memory = y if memory is None else memory
                named = {"key_padding_mask": padding, "attn_mask": mask, "is_causal": causal}
                attention = getattr(self, self.attentions[i])
                y, _ = attention(y, memory, memory, need_weights=False, **named)
            else:
                y = self.linear2(self.dropout(self.activation(self.linear1(y))))
            y = dropout(y)
            x = x + y if self.norm_first else norm(x + y)
        return x


class TransformerEncoderLayer(_TransformerLayer):
    """As `torch.nn.TransformerEncoderLayer`; `activation` is "relu", "gelu" or a function.

    >>> net = TransformerEncoderLayer(64, 8, 256, batch_first=True).trace("N L 64")
    >>> net.output_shape, net.params
    ((N, L, 64), 49984)
    """

    attentions = ("self_attn",)

    def forward(
        self,
        src: SymbolicTensor,
        src_mask: SymbolicTensor | None = None,
        src_key_padding_mask: SymbolicTensor | None = None,
        is_causal: bool = False,
    ) -> SymbolicTensor:
        """Attention, then two linear layers, each added to its input and normalised."""
        return self._added(src, (None, src_mask, src_key_padding_mask, is_causal))


class TransformerDecoderLayer(_TransformerLayer):
    """As `torch.nn.TransformerDecoderLayer`: attention to itself, attention to a memory, two linear
    layers.

    >>> net = TransformerDecoderLayer(64, 8, 256, batch_first=True).trace("N L 64", "N S 64")
    >>> net.output_shape
    (N, L, 64)
    """

    attentions = ("self_attn", "multihead_attn")
    multihead_attn: MultiheadAttention
    norm3: LayerNorm
    dropout3: Dropout

    def forward(
        self,
        tgt: SymbolicTensor,
        memory: SymbolicTensor,
        tgt_mask: SymbolicTensor | None = None,
        memory_mask: SymbolicTensor | None = None,
        tgt_key_padding_mask: SymbolicTensor | None = None,
        memory_key_padding_mask: SymbolicTensor | None = None,
        tgt_is_causal: bool = False,
        memory_is_causal: bool = False,
    ) -> SymbolicTensor:
        """Two attentions and two linear layers, each added to its input and normalised."""
        itself = (None, tgt_mask, tgt_key_padding_mask, tgt_is_causal)
        return self._added(
            tgt, itself, (memory, memory_mask, memory_key_padding_mask, memory_is_causal)
        )


class TransformerEncoder(Module):
    """As `torch.nn.TransformerEncoder`: copies of a layer, one after the other, and a norm.

    >>> layer = TransformerEncoderLayer(64, 8, 256, batch_first=True)
    >>> TransformerEncoder(layer, 6).trace("N L 64").params
    299904
    """

    def __init__(
        self,
        encoder_layer: TransformerEncoderLayer,
        num_layers: int,
        norm: Any = None,
        enable_nested_tensor: bool = True,
        mask_check: bool = True,
    ) -> None:
        self.layers = ModuleList(deepcopy(encoder_layer) for _ in range(num_layers))
        self.num_layers, self.norm = num_layers, norm

    def forward(
        self,
        src: SymbolicTensor,
        mask: SymbolicTensor | None = None,
        src_key_padding_mask: SymbolicTensor | None = None,
        is_causal: bool | None = None,
    ) -> SymbolicTensor:
        """Each layer on the output of the one before."""
        for layer in self.layers:
            src = layer(src, mask, src_key_padding_mask, bool(is_causal))
        return src if self.norm is None else self.norm(src)


class TransformerDecoder(Module):
    """As `torch.nn.TransformerDecoder`: copies of a layer, one after the other, and a norm."""

    def __init__(
        self, decoder_layer: TransformerDecoderLayer, num_layers: int, norm: Any = None
    ) -> None:
        self.layers = ModuleList(deepcopy(decoder_layer) for _ in range(num_layers))
        self.num_layers, self.norm = num_layers, norm

    def forward(
        self,
        tgt: SymbolicTensor,
        memory: SymbolicTensor,
        tgt_mask: SymbolicTensor | None = None,
        memory_mask: SymbolicTensor | None = None,
        tgt_key_padding_mask: SymbolicTensor | None = None,
        memory_key_padding_mask: SymbolicTensor | None = None,
        tgt_is_causal: bool | None = None,
        memory_is_causal: bool = False,
    ) -> SymbolicTensor:
        """Each layer on the output of the one before, all on the same memory."""
        for layer in self.layers:
            tgt = layer(
                tgt,
                memory,
                tgt_mask,
                memory_mask,
                tgt_key_padding_mask,
                memory_key_padding_mask,
                bool(tgt_is_causal),
                memory_is_causal,
            )
        return tgt if self.norm is None else self.norm(tgt)


class Transformer(Module):
    """As `torch.nn.Transformer`: an encoder, and a decoder that reads what it makes.

    >>> Transformer(64, 8, 2, 2, 256, batch_first=True).trace("N S 64", "N L 64").output_shape
    (N, L, 64)
    """

    def __init__(
        self,
        d_model: Any = 512,
        nhead: int = 8,
        num_encoder_layers: int = 6,
        num_decoder_layers: int = 6,
        dim_feedforward: Any = 2048,
        dropout: float = 0.1,
        activation: Any = "relu",
        custom_encoder: Any = None,
        custom_decoder: Any = None,
        layer_norm_eps: float = 1e-5,
        batch_first: bool = False,
        norm_first: bool = False,
        bias: bool = True,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        hyper = (d_model, nhead, dim_feedforward, dropout, activation)
        options = (layer_norm_eps, batch_first, norm_first, bias)
        self.encoder = custom_encoder or TransformerEncoder(
            TransformerEncoderLayer(*hyper, *options),
            num_encoder_layers,
            LayerNorm(d_model, layer_norm_eps, bias=bias),
        )
        self.decoder = custom_decoder or TransformerDecoder(
            TransformerDecoderLayer(*hyper, *options),
            num_decoder_layers,
            LayerNorm(d_model, layer_norm_eps, bias=bias),
        )
        self.d_model, self.nhead, self.batch_first = d_model, nhead, batch_first

    def forward(
        self,
        src: SymbolicTensor,
        tgt: SymbolicTensor,
        src_mask: SymbolicTensor | None = None,
        tgt_mask: SymbolicTensor | None = None,
        memory_mask: SymbolicTensor | None = None,
        src_key_padding_mask: SymbolicTensor | None = None,
        tgt_key_padding_mask: SymbolicTensor | None = None,
        memory_key_padding_mask: SymbolicTensor | None = None,
        src_is_causal: bool | None = None,
        tgt_is_causal: bool | None = None,
        memory_is_causal: bool = False,
    ) -> SymbolicTensor:
        """The target, decoded with the encoded source as memory."""
        memory = self.encoder(src, src_mask, src_key_padding_mask, src_is_causal)
        output: SymbolicTensor = self.decoder(
            tgt,
            memory,
            tgt_mask,
            memory_mask,
            tgt_key_padding_mask,
            memory_key_padding_mask,
            tgt_is_causal,
            memory_is_causal,
        )
        return output
