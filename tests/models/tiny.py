"""Build a tiny random model of any architecture that transformers knows."""

from __future__ import annotations

import inspect
from typing import Any

from huggingface_hub.errors import StrictDataclassError

VOCABULARY = 320
POSITIONS = 128
WINDOW = 8  # of local attention: shorter than the prompts
HEADS, HEAD = 4, 8
WIDTH = HEADS * HEAD
LAYERS = 4  # so that the patterns of mixed layers come around
SPREAD = 0.3  # of weights: far from uniform, so that greedy decoding has few near ties

_GROUPS: tuple[tuple[int, str], ...] = (
    (VOCABULARY, "vocab_size vocab_size_per_layer_input decoder_vocab_size unpadded_vocab_size"),
    (
        POSITIONS,
        "max_position_embeddings n_positions n_ctx max_seq_len max_target_positions"
        " context_length original_max_position_embeddings",
    ),
    (
        WINDOW,
        "sliding_window window_size attention_window local_attention attention_chunk_size"
        " sliding_window_size attention_window_size keep_window_size"
        " local_attention_window_len",
    ),
    (
        LAYERS,
        "num_hidden_layers n_layer n_layers num_layers num_decoder_layers decoder_layers"
        " num_encoder_layers encoder_layers",
    ),
    (
        HEADS,
        "num_attention_heads n_head n_heads num_heads decoder_attention_heads attention_heads"
        " encoder_attention_heads num_decoder_attention_heads num_encoder_attention_heads"
        " num_self_attention_heads num_cross_attention_heads linear_num_heads"
        " swa_num_attention_heads linear_num_value_heads"
        " num_local_experts num_experts n_routed_experts moe_num_experts num_blocks"
        " n_mamba_heads mamba_n_heads mamba_num_heads num_codebooks",
    ),
    # Of few heads, tokens often have equal scores of 0, and rounding decides which are looked at.
    (64, "index_n_heads indexer_n_heads"),
    (
        2,
        "num_key_value_heads num_kv_heads linear_num_key_heads swa_num_key_value_heads"
        " num_experts_per_tok moe_topk moe_k top_k_experts n_group topk_group n_groups"
        " mamba_n_groups mamba_ngroups indexer_kv_heads first_k_dense_replace o_groups"
        " attn_layer_period layer_group_size full_attention_interval sliding_window_pattern",
    ),
    (
        WIDTH,
        "hidden_size n_embd d_model embedding_size emb_dim dim word_embed_proj_dim lru_width"
        " attention_hidden_size embedding_dim dim_model_base input_embedding_size kv_lora_rank"
        " output_embedding_size q_lora_rank d_latents qk_channels v_channels"
        " hidden_size_per_layer_input backbone_hidden_size router_hidden_size"
        " pronunciation_embed_dim shape_embed_dim o_lora_rank prediction_head_size"
        " intra_bottleneck_size true_hidden_size entity_emb_size",
    ),
    (
        HEAD,
        "head_dim v_head_dim d_head d_kv kv_channels attention_head_size index_head_dim"
        " qk_nope_head_dim qk_rope_head_dim linear_key_head_dim linear_value_head_dim dim_head"
        " linear_head_dim swa_head_dim attention_head_dim indexer_head_dim rotary_dim"
        " qk_head_dim laurel_rank adapter_rank hc_lowrank",
    ),
    (
        2 * WIDTH,
        "intermediate_size ffn_dim d_ff dim_ff dff d_inner moe_intermediate_size"
        " decoder_ffn_dim encoder_ffn_dim shared_expert_intermediate_size hidden_dim n_inner"
        " shared_intermediate_size expert_ffn_hidden_size feed_forward_size"
        " intermediate_size_mlp moe_shared_expert_intermediate_size"
        " shared_experts_intermediate_size mamba_d_ssm prefix_dense_intermediate_size"
        " dense_intermediate_size ffn_hidden_size",
    ),
    (
        16,
        "mamba_d_state state_size ssm_state_size mamba_head_dim chunk_size mamba_chunk_size"
        " index_topk num_hash_buckets zero_expert_num image_size split_ngram_parts",
    ),
    (
        1,
        "num_nextn_predict_layers num_mtp_layers n_shared_experts num_shared_experts"
        " bos_token_id attn_layer_offset patch_size",
    ),
    (0, "pad_token_id num_kv_shared_layers num_dense_layers"),
)
SIZES: dict[str, Any] = {name: size for size, names in _GROUPS for name in names.split()}
MOST = 5_000_000  # weights


def config_of(kind: str, **changed: Any) -> Any:
    """A configuration of a `model_type`, with every size in it made small.

    Args:
        kind: transformers' name of the architecture.
        changed: values of the outermost part to set.
    """
    from transformers.models.auto.configuration_auto import CONFIG_MAPPING

    config = _shrunk(CONFIG_MAPPING[kind], changed)
    config.initializer_range = SPREAD
    return config


def _shrunk(kind: Any, changed: dict[str, Any]) -> Any:
    parameters = inspect.signature(kind.__init__).parameters
    values = {name: size for name, size in SIZES.items() if name in parameters}
    if "kv_lora_rank" in parameters:  # one latent key for all heads
        values["num_key_value_heads"] = HEADS
    if "is_decoder" in parameters:  # else encoders look both ways
        values["is_decoder"] = True
    if "eos_token_id" in parameters:
        values["eos_token_id"] = 2
    for name, part in (getattr(kind, "sub_configs", None) or {}).items():
        if name in parameters and hasattr(part, "sub_configs"):
            values[name] = _shrunk(part, {}).to_dict()
    return kind(**(values | SPECIAL.get(getattr(kind, "model_type", ""), {}) | changed))


# What the sizes above do not say.
SPECIAL: dict[str, dict[str, Any]] = {
    "gpt_neo": {"attention_types": [[["global", "local"], LAYERS // 2]]},
    "bamba": {"attn_layer_indices": [1, 3]},
    "mamba2": {"num_heads": 8},
    "granitemoehybrid": {"layer_types": ["mamba", "attention"] * (LAYERS // 2)},
    "lfm2_moe": {"layer_types": ["conv", "full_attention"] * (LAYERS // 2)},
    "xmod": {"default_language": "en_XX"},
    "gemma3": {
        "vision_config": {
            "model_type": "siglip_vision_model",
            **dict.fromkeys(("hidden_size", "intermediate_size", "num_attention_heads"), 8),
            "image_size": 56,
            "patch_size": 14,
            "num_hidden_layers": 1,
        },
        "mm_tokens_per_image": 4,
    },
    "zaya": {"num_experts_per_tok": 1},
    "reformer": {"axial_pos_embds_dim": (16, 16), "axial_pos_shape": (8, 16)},
    "kimi_linear": {"layer_types": ["linear_attention", "full_attention"] * (LAYERS // 2)},
    "cohere_compass_text": {"layer_types": ["sliding_attention", "full_attention"] * 2},
}


class TooLargeError(Exception):
    """Some size is left that this file does not know."""


def build(auto: Any, config: Any, seed: int = 0, **options: Any) -> Any:
    """A model in float32 and eval mode, with weights that are large enough to differ.

    Raises:
        TooLargeError: it has more than some millions of weights.
    """
    import torch

    with torch.device("meta"):
        size = sum(p.numel() for p in auto.from_config(config, **options).parameters())
    if size > MOST:
        raise TooLargeError(f"{size:,} weights")
    torch.manual_seed(seed)
    model = auto.from_config(config, **options).float().eval()
    with torch.no_grad():
        for module in model.modules():
            if isinstance(module, torch.nn.Linear | torch.nn.Embedding):
                module.weight.normal_(0, SPREAD)
    return model


def causal_kinds() -> list[str]:
    """Names of all architectures with a causal language model."""
    from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES

    return sorted(MODEL_FOR_CAUSAL_LM_MAPPING_NAMES)


def tokenizer() -> Any:
    """A tokenizer of the vocabulary's size."""
    from hfcli.models.init_model import train_tokenizer
    from tests.conftest import SENTENCES

    return train_tokenizer(SENTENCES * 4, VOCABULARY, POSITIONS)


# What building or trying an architecture raises that is not for this file's sizes.
UNBUILT = (
    StrictDataclassError,
    TooLargeError, ValueError, TypeError, RuntimeError, KeyError, IndexError, AttributeError,
    ImportError, AssertionError, NotImplementedError, OSError,
)  # fmt: skip
