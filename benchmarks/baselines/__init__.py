"""Baselines on equal terms: each an idea of the field in its own words, on DTSE's streams and decoder.

`BASELINES[name](config)` takes `(frames, input_ids, attention_mask)` and returns a `DTSEOutput`, as `DTSE` does;
`train(config, make_model=BASELINES[name])` trains it by the same loop.
"""

from .cross_modal_self_attention import CrossModalSelfAttention
from .frozen_text import FrozenText
from .late_concat import LateConcat
from .one_way_fusion import OneWayFusion
from .query_memory import QueryMemory
from .query_transformer import QueryTransformer
from .sentence_filters import SentenceFilters
from .temporal_duplex import TemporalDuplex

BASELINES: dict[str, type] = {
    "late_concat": LateConcat,
    "sentence_filters": SentenceFilters,
    "cross_modal_self_attention": CrossModalSelfAttention,
    "one_way_fusion": OneWayFusion,
    "temporal_duplex": TemporalDuplex,
    "query_transformer": QueryTransformer,
    "query_memory": QueryMemory,
    "frozen_text": FrozenText,
}
