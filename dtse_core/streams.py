"""The two streams, stepped from outside: a CNN by stage and a text transformer by layer.

Both are the transformers library's own models [L, D-4, D-5], of a family in `VISUAL` or `TEXT`; this file is the only
one that knows how their insides are called, in transformers 4.53+ and in 5.x. Notebook: 03_two_streams.
"""

import json
from types import MethodType
from typing import Annotated, Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import CONFIG_MAPPING, MODEL_MAPPING, PretrainedConfig
from transformers.activations import ACT2FN, GELUActivation

from .config import Allowed, Positive, Share, Whole, checked
from .layers import linear, make_norm

# The library's settings of well-known names, so that they build at random weights without the hub.
ARCHITECTURES: dict[str, dict[str, Any]] = {
    "microsoft/resnet-50": {"model_type": "resnet"},
    "microsoft/resnet-101": {"model_type": "resnet", "depths": [3, 4, 23, 3]},
    "facebook/convnextv2-tiny-22k-384": {"model_type": "convnextv2"},
    "bert-base-uncased": {"model_type": "bert"},
    "answerdotai/ModernBERT-base": {"model_type": "modernbert"},
    "sentence-transformers/all-MiniLM-L6-v2": {
        "model_type": "bert",
        "hidden_size": 384,
        "num_hidden_layers": 6,
        "num_attention_heads": 12,
        "intermediate_size": 1536,
    },
    "tiny-resnet": {
        "model_type": "resnet",
        "embedding_size": 32,
        "hidden_sizes": [32, 64, 96, 128],
        "depths": [1, 1, 1, 1],
        "layer_type": "basic",
    },
    "tiny-bert": {
        "model_type": "bert",
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


class ResNet:
    """ResNet and RegNet. Res5 gets stride 1 and no dilation: pretrained weights load, and training adapts them to the
    denser map."""

    @staticmethod
    def prepare(model: Any) -> None:
        model.pooler = nn.Identity()
        for module in model.encoder.stages[-1].modules():
            if isinstance(module, nn.Conv2d):
                module.stride = (1, 1)

    @staticmethod
    def stem(model: Any, frames: Tensor) -> Tensor:
        return model.embedder(frames)

    @staticmethod
    def blocks(model: Any) -> list[Any]:
        return [block for stage in model.encoder.stages for block in stage.layers]


class ConvNext(ResNet):
    """ConvNeXt and ConvNeXt V2. Res5 keeps stride 2, for its patches do not overlap, and its map is resized."""

    @staticmethod
    def prepare(model: Any) -> None:
        model.layernorm = nn.Identity()
        for block in ResNet.blocks(model):
            if hasattr(block, "grn"):
                block.forward = MethodType(_convnext_v2_block, block)

    @staticmethod
    def stem(model: Any, frames: Tensor) -> Tensor:
        return model.embeddings(frames)


def _convnext_v2_block(block: Any, V: Tensor) -> Tensor:
    """A block of ConvNeXt V2, `(B, C, H, W)` to the same, in a cheaper order than the library's.

    Before its last linear layer stands `x (1 + w n) + b` on 4C channels, n being a channel's norm over all positions
    beside the mean norm. The offset b goes into that layer's bias, and the factor, where there are more positions
    than channels, into its weights: no further map of 4C channels is made.
    """
    x = block.layernorm(block.dwconv(V).permute(0, 2, 3, 1))  # (B, H, W, C)
    gelu = isinstance(block.act, GELUActivation)
    x = linear(x, block.pwconv1.weight, block.pwconv1.bias, gelu).flatten(1, 2)  # (B, HW, 4C)
    x = x if gelu else block.act(x)
    norms = x.float().square().sum(1, keepdim=True).sqrt()  # (B, 1, 4C); a sum over all positions overflows float16
    weight, bias = block.pwconv2.weight, block.pwconv2.bias
    factor = 1 + block.grn.weight[0] * norms / (norms.mean(-1, keepdim=True) + 1e-6)  # (B, 1, 4C)
    factor = factor.to(weight.dtype)  # (B, 1, 4C)
    bias = F.linear(block.grn.bias.flatten(), weight, bias)  # (C,)
    if x.shape[1] < len(weight):
        x = linear(x * factor, weight, bias)  # (B, HW, C)
    elif len(x) == 1:
        x = linear(x, factor[0] * weight, bias)  # (1, HW, C)
    else:
        x = torch.baddbmm(bias, x, (factor * weight).mT)  # (B, HW, C)
    return V + block.drop_path(x.mT.unflatten(2, V.shape[2:]))  # (B, C, H, W)


class Bert:
    """BERT, of which MiniLM is one, and RoBERTa: embeddings, then layers that add the padding to their scores."""

    options: dict[str, Any] = {"add_pooling_layer": False}

    @staticmethod
    def blocks(model: Any) -> Any:
        return model.encoder.layer

    @staticmethod
    def embed(model: Any, input_ids: Tensor) -> Tensor:
        return model.embeddings(input_ids=input_ids)

    @staticmethod
    def step(model: Any, layers: list[Any], L: Tensor, padding: Tensor) -> Tensor:
        for layer in layers:
            L = _only(layer(L, padding))  # (B, N, D)
        return L


class Electra(Bert):
    """ELECTRA: embeddings of a width of their own."""

    options = {}

    @staticmethod
    def embed(model: Any, input_ids: Tensor) -> Tensor:
        L = model.embeddings(input_ids=input_ids)
        return model.embeddings_project(L) if hasattr(model, "embeddings_project") else L


class MPNet(Bert):
    """MPNet: all layers share a learned bias of their scores, by distance."""

    @staticmethod
    def step(model: Any, layers: list[Any], L: Tensor, padding: Tensor) -> Tensor:
        bias = model.encoder.compute_position_bias(L)  # (B, heads, N, N)
        for layer in layers:
            L = _only(layer(L, padding, position_bias=bias))  # (B, N, D)
        return L


class DistilBert(Bert):
    """DistilBERT."""

    options = {}

    @staticmethod
    def blocks(model: Any) -> Any:
        return model.transformer.layer


class ModernBert(Bert):
    """ModernBERT: positions turn queries and keys, most layers read a window of words, and a last norm follows."""

    options = {}

    @staticmethod
    def blocks(model: Any) -> Any:
        return model.layers

    @staticmethod
    def step(model: Any, layers: list[Any], L: Tensor, padding: Tensor) -> Tensor:
        places = torch.arange(L.shape[1], device=L.device)  # (N,)
        far = (places[:, None] - places).abs() > model.config.local_attention // 2  # (N, N)
        local = padding.masked_fill(far, torch.finfo(L.dtype).min)  # (B, 1, N, N)
        rotary = getattr(model, "rotary_emb", None)  # transformers 5; in 4 each layer has its own
        turns = {kind: rotary(L, places[None], kind) for kind in set(model.config.layer_types)} if rotary else {}
        for layer in layers:
            if rotary:
                kind = layer.attention_type
                mask = local if kind == "sliding_attention" else padding
                L = _only(layer(L, mask, position_embeddings=turns[kind]))  # (B, N, D)
            else:
                L = _only(layer(L, padding, sliding_window_mask=local, position_ids=places[None]))
            L = model.final_norm(L) if layer is model.layers[-1] else L
        return L


def _only(output: Any) -> Tensor:
    return output[0] if isinstance(output, tuple) else output  # transformers 4 returns a tuple, 5 a tensor


VISUAL: dict[str, Any] = {"resnet": ResNet, "regnet": ResNet, "convnext": ConvNext, "convnextv2": ConvNext}
TEXT: dict[str, Any] = {
    "bert": Bert,
    "roberta": Bert,
    "electra": Electra,
    "mpnet": MPNet,
    "distilbert": DistilBert,
    "modernbert": ModernBert,
}
Activation = Annotated[str, Allowed(f"one of {', '.join(ACT2FN)}", ACT2FN.__contains__)]
Width = Annotated[int, Allowed("1 to 1048576", range(1, 2**20 + 1).__contains__)]  # channels, words; or layers:
Depth = Annotated[int, Allowed("1 to 64", range(1, 65).__contains__)]
Widths, Depths = tuple[Width, Width, Width, Width], tuple[Depth, Depth, Depth, Depth]
CNN = {
    "num_channels": Annotated[int, Allowed("3", (3).__eq__)],
    "hidden_sizes": Widths,
    "depths": Depths,
    "hidden_act": Activation,
}
CONVNEXT = CNN | {"patch_size": Depth, "layer_norm_eps": Share, "drop_path_rate": Share}
WORDS = {
    "vocab_size": Width,
    "hidden_size": Width,
    "num_hidden_layers": Depth,
    "num_attention_heads": Depth,
    "intermediate_size": Width,
    "max_position_embeddings": Width,
    "pad_token_id": Whole,
}
BERT = WORDS | {
    "type_vocab_size": Depth,
    "hidden_act": Activation,
    "layer_norm_eps": Share,
    "hidden_dropout_prob": Share,
    "attention_probs_dropout_prob": Share,
}
SETTINGS: dict[str, dict[str, Any]] = {  # of the library, from which a stream is built, and what each may be
    "resnet": CNN
    | {
        "embedding_size": Width,
        "layer_type": Literal["basic", "bottleneck"],
        "downsample_in_first_stage": bool,
        "downsample_in_bottleneck": bool,
    },
    "regnet": CNN
    | {
        "embedding_size": Width,
        "layer_type": Literal["x", "y"],
        "groups_width": Width,
        "downsample_in_first_stage": bool,
    },
    "convnext": CONVNEXT | {"layer_scale_init_value": Share},
    "convnextv2": CONVNEXT,
    "bert": BERT,
    "roberta": BERT,
    "electra": BERT | {"embedding_size": Width},
    "mpnet": {name: kind for name, kind in BERT.items() if name != "type_vocab_size"}
    | {"relative_attention_num_buckets": Width},
    "distilbert": {
        "vocab_size": Width,
        "dim": Width,
        "n_layers": Depth,
        "n_heads": Depth,
        "hidden_dim": Width,
        "max_position_embeddings": Width,
        "pad_token_id": Whole,
        "activation": Activation,
        "dropout": Share,
        "attention_dropout": Share,
    },
    "modernbert": WORDS
    | {
        "hidden_activation": Activation,
        "norm_eps": Share,
        "norm_bias": bool,
        "attention_bias": bool,
        "mlp_bias": bool,
        "embedding_dropout": Share,
        "mlp_dropout": Share,
        "attention_dropout": Share,
        "local_attention": Width,
        "global_attn_every_n_layers": Depth,
        "global_rope_theta": Positive,
        "local_rope_theta": Positive,
    },
}
SELDOM: dict[str, Any] = {  # written, and then to be as always
    "is_decoder": Annotated[bool, Allowed("False", (False).__eq__)],
    "position_embedding_type": Literal["absolute"],
}


class Stream(nn.Module):
    """A model of the library under its family's name, `resnet`, `bert` ..., and how it is stepped."""

    def __init__(
        self, families: dict[str, Any], name: str, pretrained: bool = False, settings: dict[str, Any] | None = None
    ):
        super().__init__()
        model = _build(families, name, pretrained, settings)
        self.kind = model.config.model_type
        self.family = families[self.kind]
        self.add_module(self.kind, model)

    @property
    def library(self) -> Any:
        """The library's model."""
        return self._modules[self.kind]

    @property
    def blocks(self) -> list[Any]:
        """The library's blocks or layers, in order."""
        return list(self.family.blocks(self.library))

    @property
    def settings(self) -> dict[str, Any]:
        """The library's settings of this model as plain JSON, for a checkpoint to carry."""
        return settings_of(self.library.config)


class VisualStream(Stream):
    """Stages Res2 to Res5 of a CNN at strides 4, 8, 16, 16 (D-4).

    Args: `name`, a hub name, folder or entry of `ARCHITECTURES`, of a family in `VISUAL`; `pretrained`, load its
    weights; `settings`, the library's settings as a checkpoint kept them (then no weights are loaded);
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
        super().__init__(VISUAL, name, pretrained, settings)
        self.family.prepare(self.library)
        if norm == "group" and not pretrained:
            _swap_batch_norm(self.library)
        self.freeze = freeze
        self.channels = dict(zip((2, 3, 4, 5), self.library.config.hidden_sizes, strict=True))  # C of each stage
        self.smallest = smallest_side(self.settings)  # of a frame, in pixels
        self.train()

    def stem(self, frames: Tensor) -> Tensor:
        """`(B, 3, H, W)`, ImageNet-normalized, to the input of Res2."""
        require_frames(frames, self.smallest)
        return self.family.stem(self.library, frames)

    def stage(self, number: int, V: Tensor) -> Tensor:
        """One of Res2 to Res5. Res5 returns a map of Res4's size."""
        features = self.library.encoder.stages[number - 2](V)
        if number == 5 and features.shape[2:] != V.shape[2:]:
            features = F.interpolate(features, V.shape[2:], mode="bilinear", align_corners=False)
        return features

    def forward(self, frames: Tensor) -> dict[int, Tensor]:
        """`(B, 3, H, W)` to the features of all stages, by number."""
        V, features = self.stem(frames), {}  # (B, C, H/4, W/4)
        for number in (2, 3, 4, 5):
            features[number] = V = self.stage(number, V)  # (B, C, h, w)
        return features

    def train(self, mode: bool = True) -> "VisualStream":
        super().train(mode)
        if self.freeze:
            for module in self.library.modules():
                if isinstance(module, nn.BatchNorm2d):
                    module.eval()
                    module.requires_grad_(False)
        return self


class LinguisticStream(Stream):
    """A text transformer's embedding and layers, stepped by groups (D-5). Width and depth come from its own config."""

    def __init__(self, name: str, pretrained: bool = False, settings: dict[str, Any] | None = None):
        super().__init__(TEXT, name, pretrained, settings)
        self.width = self.library.config.hidden_size  # D
        self.depth = self.library.config.num_hidden_layers
        self.longest = longest_sentence(self.settings)  # word pieces

    def embed(self, input_ids: Tensor) -> Tensor:
        """`(B, N)` word pieces to `(B, N, D)`."""
        require_words(input_ids, self.longest)
        return self.family.embed(self.library, input_ids)

    def layers(self, L: Tensor, word_mask: Tensor, start: int, stop: int) -> Tensor:
        """Layers `start` to `stop - 1` over words `L (B, N, D)`; `word_mask (B, N)` is 1 for words, 0 for padding."""
        lowest = torch.finfo(L.dtype).min
        padding = torch.zeros(word_mask.shape, dtype=L.dtype, device=L.device)  # (B, N)
        padding = padding.masked_fill(word_mask == 0, lowest)[:, None, None]  # (B, 1, 1, N)
        return self.family.step(self.library, self.blocks[start:stop], L, padding)  # (B, N, D)

    def forward(self, input_ids: Tensor, word_mask: Tensor) -> Tensor:
        """`(B, N)` word pieces to `(B, N, D)` after all layers."""
        return self.layers(self.embed(input_ids), word_mask, 0, self.depth)  # (B, N, D)


def _build(families: dict[str, Any], name: str, pretrained: bool, settings: dict[str, Any] | None) -> Any:
    """A library model: from a checkpoint's own settings, with pretrained weights, or at random weights."""
    if not settings and not pretrained:
        settings = ARCHITECTURES.get(name)
    try:
        found = settings or PretrainedConfig.get_config_dict(name)[0]
        kind = found.get("model_type", None if settings is None else next(iter(families)))
        if kind not in families:  # the library would load what fits and leave the rest at random
            raise ValueError(f"{name!r} is a {kind} model; this stream takes {', '.join(families)}")
        config = CONFIG_MAPPING[kind].from_dict(found)
        built_from(families, settings_of(config), f"{{}} of {name!r}")  # as its checkpoint will be
        model_class: Any = MODEL_MAPPING[type(config)]
        options = getattr(families[kind], "options", {})
        if getattr(model_class, "_supports_sdpa", False):  # takes the padding as it is made here
            config._attn_implementation = "sdpa"
        if settings or not pretrained:
            return model_class(config, **options)
        model, loading = model_class.from_pretrained(name, config=config, output_loading_info=True, **options)
    except OSError as error:
        raise ValueError(
            f"cannot load {name!r}: it is not a folder with a model, and neither the local cache nor the hub has it; "
            f"fetch it once with `hf download {name}`, name a folder, or set model.pretrained to False"
        ) from error
    except ValueError:
        raise
    except Exception as error:  # the library has many for settings that make no sense
        said = " ".join(str(error).split())
        raise ValueError(
            f"the settings of {name!r} describe no model ({said:.200}); correct its config.json, or download it again"
        ) from error
    missing = sorted(set(loading["missing_keys"]) & {key for key, _ in model.named_parameters()})
    if missing:
        raise ValueError(f"{name!r} lacks {len(missing)} weights, {missing[0]} first; download it again")
    return model.float()  # some are stored in half precision


def settings_of(config: Any) -> dict[str, Any]:
    """The library's settings as plain JSON; ModernBERT's in the form that transformers 4 and 5 both read.

    Raises `ValueError` for a ModernBERT that this form cannot describe.
    """
    settings = json.loads(config.to_json_string(use_diff=True))
    if kinds := settings.get("layer_types"):
        turns, period = settings["rope_parameters"], [*kinds[1:], "full_attention"].index("full_attention") + 1
        regular = all((kind == "sliding_attention") == bool(i % period) for i, kind in enumerate(kinds))
        if not regular or any(turn["rope_type"] != "default" for turn in turns.values()):
            raise ValueError("a ModernBERT with irregular layers or scaled angles cannot be a stream; take another")
        settings["global_attn_every_n_layers"] = period
        settings["global_rope_theta"] = turns["full_attention"]["rope_theta"]
        settings["local_rope_theta"] = turns["sliding_attention"]["rope_theta"]
    return settings


def built_from(families: dict[str, Any], settings: dict[str, Any], where: str) -> dict[str, Any]:
    """Of a stream's settings those that it is built from; a library writes more, names of other places among them.

    `where` is how an error names a setting, such as "saved_streams.text.{}". Raises `ValueError` for a setting that no
    stream can have.
    """
    kind = checked(where.format("model_type"), settings.get("model_type"), Literal[*families])
    for name, allowed in SETTINGS[kind].items():
        checked(where.format(name), settings.get(name), allowed)
    for name in SELDOM.keys() & settings.keys():
        checked(where.format(name), settings[name], SELDOM[name])
    return {name: settings[name] for name in ("model_type", *SETTINGS[kind])}


def longest_sentence(settings: dict[str, Any]) -> int:
    """The word pieces that a text model takes; RoBERTa and MPNet count positions from behind the number of padding."""
    counted = settings["model_type"] in ("roberta", "mpnet")
    return settings["max_position_embeddings"] - counted * (settings["pad_token_id"] + 1)


def require_words(input_ids: Tensor, longest: int) -> None:
    """Raises `ValueError` for anything but sentences of 1 to `longest` word pieces."""
    if input_ids.ndim != 2 or not len(input_ids) or not 1 <= input_ids.shape[1] <= longest:
        raise ValueError(
            f"input_ids must hold word pieces (B, N) with B = 1 or more and N = 1 to {longest}; got "
            f"{tuple(input_ids.shape)}"
        )


def smallest_side(settings: dict[str, Any]) -> int:
    """The pixels that each side of a frame needs: ConvNeXt halves its map of patches three times, without a border."""
    return 8 * settings["patch_size"] if settings["model_type"] in ("convnext", "convnextv2") else 1


def require_frames(frames: Tensor, smallest: int) -> None:
    """Raises `ValueError` for anything but frames whose sides have `smallest` pixels or more."""
    if frames.ndim != 4 or frames.shape[1] != 3 or not len(frames) or min(frames.shape[2:]) < smallest:
        raise ValueError(
            f"frames must be (B, 3, H, W) with B = 1 or more and H and W of {smallest} or more, which this visual "
            f"stream needs; got {tuple(frames.shape)}"
        )


def _swap_batch_norm(model: nn.Module) -> None:
    for parent in list(model.modules()):
        for name, child in parent.named_children():
            if isinstance(child, nn.BatchNorm2d):
                setattr(parent, name, make_norm(child.num_features, "group"))
