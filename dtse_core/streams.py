"""The two streams, stepped from outside: a ResNet by stage and a BERT by layer.

Both are the transformers library's own models [L, D-4, D-5]; this file is the only one that knows
how their insides are called, in transformers 4.53+ and in 5.x. Notebook: 03_two_streams.
"""

import json
from typing import Any

import torch
from torch import Tensor, nn
from transformers import BertConfig, BertModel, ResNetConfig, ResNetModel

from .layers import make_norm

# The library's settings of well-known names, so that they build at random weights without the hub.
ARCHITECTURES: dict[str, dict[str, Any]] = {
    "microsoft/resnet-50": {},
    "microsoft/resnet-101": {"depths": [3, 4, 23, 3]},
    "bert-base-uncased": {},
    "tiny-resnet": {
        "embedding_size": 32,
        "hidden_sizes": [32, 64, 96, 128],
        "depths": [1, 1, 1, 1],
        "layer_type": "basic",
    },
    "tiny-bert": {
        "vocab_size": 256,
        "hidden_size": 64,
        "num_hidden_layers": 3,
        "num_attention_heads": 4,
        "intermediate_size": 128,
        "max_position_embeddings": 64,
        "hidden_dropout_prob": 0.0,
        "attention_probs_dropout_prob": 0.0,
    },
}


class VisualStream(nn.Module):
    """ResNet stages Res2 to Res5 at strides 4, 8, 16, 16 (D-4).

    Res5 gets stride 1 and no dilation: pretrained weights load, and training adapts them to the denser map.

    Args: `name`, a hub name, folder or entry of `ARCHITECTURES`; `pretrained`, load its weights;
    `settings`, the library's settings as a checkpoint kept them (then no weights are loaded);
    `norm="group"` swaps the batch norms of a stream from scratch (D-16); `freeze` keeps batch
    norm's statistics and affine weights as they are, in `train()` too.
    """

    def __init__(
        self,
        name: str,
        pretrained: bool = False,
        settings: dict[str, Any] | None = None,
        norm: str = "batch",
        freeze: bool = False,
    ):
        super().__init__()
        self.resnet = _build(ResNetModel, ResNetConfig, name, pretrained, settings)
        self.resnet.pooler = nn.Identity()
        for module in self.resnet.encoder.stages[-1].modules():
            if isinstance(module, nn.Conv2d):
                module.stride = (1, 1)
        if norm == "group" and not pretrained:
            _swap_batch_norm(self.resnet)
        self.freeze = freeze
        self.channels = dict(zip((2, 3, 4, 5), self.resnet.config.hidden_sizes, strict=True))  # C of each stage
        self.train()

    def stem(self, frames: Tensor) -> Tensor:
        """`(B, 3, H, W)`, ImageNet-normalised, to the input of Res2 at stride 4."""
        return self.resnet.embedder(frames)

    def stage(self, number: int, V: Tensor) -> Tensor:
        """One of Res2 to Res5."""
        return self.resnet.encoder.stages[number - 2](V)

    def forward(self, frames: Tensor) -> dict[int, Tensor]:
        V, features = self.stem(frames), {}  # (B, C, H/4, W/4)
        for number in (2, 3, 4, 5):
            features[number] = V = self.stage(number, V)  # (B, C, h, w)
        return features

    def train(self, mode: bool = True) -> "VisualStream":
        super().train(mode)
        if self.freeze:
            for module in self.resnet.modules():
                if isinstance(module, nn.BatchNorm2d):
                    module.eval()
                    module.requires_grad_(False)
        return self


class LinguisticStream(nn.Module):
    """BERT's embedding and layers, stepped by groups (D-5). Width and depth come from its own config."""

    def __init__(self, name: str, pretrained: bool = False, settings: dict[str, Any] | None = None):
        super().__init__()
        self.bert = _build(BertModel, BertConfig, name, pretrained, settings, add_pooling_layer=False)
        self.width = self.bert.config.hidden_size  # D
        self.depth = self.bert.config.num_hidden_layers
        self.longest = self.bert.config.max_position_embeddings  # word pieces

    def embed(self, input_ids: Tensor) -> Tensor:
        """`(B, N)` word pieces to `(B, N, D)`."""
        return self.bert.embeddings(input_ids=input_ids)

    def layers(self, L: Tensor, word_mask: Tensor, start: int, stop: int) -> Tensor:
        """Layers `start` to `stop - 1` over words `L (B, N, D)`; `word_mask (B, N)` is 1 for words, 0 for padding."""
        padding = torch.zeros(word_mask.shape, dtype=L.dtype, device=L.device)  # (B, N)
        padding = padding.masked_fill(word_mask == 0, torch.finfo(L.dtype).min)[:, None, None]  # (B, 1, 1, N)
        for layer in self.bert.encoder.layer[start:stop]:
            L = layer(L, padding)  # (B, N, D)
            L = L[0] if isinstance(L, tuple) else L  # transformers 4 returns a tuple, 5 a tensor
        return L

    def forward(self, input_ids: Tensor, word_mask: Tensor) -> Tensor:
        return self.layers(self.embed(input_ids), word_mask, 0, self.depth)  # (B, N, D)


def _build(
    model_class: Any, config_class: Any, name: str, pretrained: bool, settings: dict[str, Any] | None, **options: Any
) -> Any:
    """A library model: from a checkpoint's own settings, with pretrained weights, or at random weights."""
    if settings:
        return model_class(config_class.from_dict(settings), **options)
    if not pretrained and name in ARCHITECTURES:
        return model_class(config_class(**ARCHITECTURES[name]), **options)
    try:
        found, wanted = config_class.get_config_dict(name)[0].get("model_type"), config_class.model_type
        if found != wanted:  # the library would load what fits and leave the rest at random
            raise ValueError(f"{name!r} is a {found} model; this stream needs a {wanted} one")
        if not pretrained:
            return model_class(config_class.from_pretrained(name), **options)
        model, loading = model_class.from_pretrained(name, output_loading_info=True, **options)
    except OSError as error:
        raise ValueError(
            f"cannot load {name!r}: it is not a folder with a model, and neither the local cache nor the hub has it; "
            f"fetch it once with `hf download {name}`, name a folder, or set model.pretrained to False"
        ) from error
    missing = sorted(set(loading["missing_keys"]) & {key for key, _ in model.named_parameters()})
    if missing:
        raise ValueError(f"{name!r} lacks {len(missing)} weights, {missing[0]} first; download it again")
    return model


def stream_settings(model: Any) -> dict[str, Any]:
    """A library model's own settings as plain JSON, for a checkpoint to carry."""
    return json.loads(model.config.to_json_string(use_diff=True))


def _swap_batch_norm(model: nn.Module) -> None:
    for parent in list(model.modules()):
        for name, child in parent.named_children():
            if isinstance(child, nn.BatchNorm2d):
                setattr(parent, name, make_norm(child.num_features, "group"))
