"""A Llama of a few hundred thousand random weights, with a tokenizer and a chat template.

It says nothing sensible, but always the same, and every token depends on all before it.
"""

import json
from pathlib import Path
from typing import Any

import numpy as np

BRIEF = "What is the capital of France?"
"""Its answer ends by itself after a few tokens."""
LONG = "Write a long story about the sea."
"""Its answer has no end."""

TEXT = """\
The quick brown fox jumps over the lazy dog, and the dog sleeps on. What is the capital of France?
It is Paris, a city on the river Seine. Write a long story about the sea: once upon a time there was
a ship that sailed to an island far away, where nobody had been before. You are a helpful assistant.
Answer the question in one word; if you do not know the answer, say so. 0 1 2 3 4 5 6 7 8 9 {"a": 1}
"""
START, END = "<|im_start|>", "<|im_end|>"
TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n{{ message['content'] }}"
    "<|im_end|>\n{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
SEED = 29
HIDDEN, LAYERS, HEADS, KV_HEADS, FEED_FORWARD = 128, 2, 4, 2, 256
HEAD = HIDDEN // HEADS


def make_model(folder: Path) -> Path:
    """Write the model; return its folder."""
    folder.mkdir(parents=True, exist_ok=True)
    vocabulary = _write_tokenizer(folder)
    _write_json(folder / "config.json", _config(vocabulary))
    end = vocabulary[END]
    _write_json(folder / "generation_config.json", {"eos_token_id": end, "temperature": 0.0})
    _write_weights(folder / "model.safetensors", _weights(vocabulary))
    return folder


def make_adapter(folder: Path, *, seed: int) -> Path:
    """Write a LoRA adapter for the model that changes what it says; return its folder."""
    folder.mkdir(parents=True, exist_ok=True)
    rank = 8
    _write_json(
        folder / "adapter_config.json",
        {
            "peft_type": "LORA", "task_type": "CAUSAL_LM", "base_model_name_or_path": "tiny",
            "r": rank, "lora_alpha": rank, "target_modules": ["q_proj", "v_proj"], "bias": "none",
        },
    )  # fmt: skip
    random = np.random.default_rng(seed)
    weights = {}
    for layer in range(LAYERS):
        for name, width in (("q_proj", HIDDEN), ("v_proj", KV_HEADS * HEAD)):
            at = f"base_model.model.model.layers.{layer}.self_attn.{name}"
            weights[f"{at}.lora_A.weight"] = _normal(random, rank, HIDDEN)
            weights[f"{at}.lora_B.weight"] = _normal(random, width, rank)
    _write_weights(folder / "adapter_model.safetensors", weights)
    return folder


def _write_tokenizer(folder: Path) -> dict[str, int]:
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=512,
        special_tokens=[START, END],
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator(TEXT.splitlines(), trainer)
    tokenizer.save(str(folder / "tokenizer.json"))
    _write_json(
        folder / "tokenizer_config.json",
        {
            "tokenizer_class": "PreTrainedTokenizerFast", "chat_template": TEMPLATE,
            "bos_token": START, "eos_token": END, "model_max_length": 1024,
            "clean_up_tokenization_spaces": False,
        },
    )  # fmt: skip
    vocabulary: dict[str, int] = tokenizer.get_vocab()
    return vocabulary


def _config(vocabulary: dict[str, int]) -> dict[str, object]:
    return {
        "architectures": ["LlamaForCausalLM"], "model_type": "llama", "dtype": "float32",
        "hidden_size": HIDDEN, "intermediate_size": FEED_FORWARD, "num_hidden_layers": LAYERS,
        "num_attention_heads": HEADS, "num_key_value_heads": KV_HEADS, "head_dim": HEAD,
        "vocab_size": len(vocabulary), "max_position_embeddings": 1024, "rms_norm_eps": 1e-5,
        "rope_theta": 10_000.0, "hidden_act": "silu", "tie_word_embeddings": False,
        "attention_bias": False, "mlp_bias": False,
        "bos_token_id": vocabulary[START], "eos_token_id": vocabulary[END],
    }  # fmt: skip


def _weights(vocabulary: dict[str, int]) -> dict[str, Any]:
    random = np.random.default_rng(SEED)
    key = KV_HEADS * HEAD
    weights: dict[str, Any] = {"model.norm.weight": np.ones(HIDDEN, np.float32)}
    for layer in range(LAYERS):
        at = f"model.layers.{layer}."
        for name, shape in {
            "self_attn.q_proj": (HIDDEN, HIDDEN),
            "self_attn.k_proj": (key, HIDDEN),
            "self_attn.v_proj": (key, HIDDEN),
            "self_attn.o_proj": (HIDDEN, HIDDEN),
            "mlp.gate_proj": (FEED_FORWARD, HIDDEN),
            "mlp.up_proj": (FEED_FORWARD, HIDDEN),
            "mlp.down_proj": (HIDDEN, FEED_FORWARD),
        }.items():
            weights[f"{at}{name}.weight"] = _normal(random, *shape)
        for name in ("input_layernorm", "post_attention_layernorm"):
            weights[f"{at}{name}.weight"] = np.ones(HIDDEN, np.float32)
    weights["model.embed_tokens.weight"] = random.standard_normal(
        (len(vocabulary), HIDDEN), np.float32
    )
    head = _normal(random, len(vocabulary), HIDDEN)
    for token, number in vocabulary.items():
        if token != END and not _is_plain(token):
            head[number] = 0  # never the likeliest: bytes that alone are no text
    weights["lm_head.weight"] = head
    return weights


def _is_plain(token: str) -> bool:
    """Return whether a token is printable ASCII; the tokenizer writes a space as Ġ."""
    return token != START and all(
        "!" <= character <= "~" or character == "Ġ" for character in token
    )


def _normal(random: np.random.Generator, rows: int, columns: int) -> Any:
    return random.standard_normal((rows, columns), np.float32) / np.float32(columns**0.5)


def _write_weights(path: Path, weights: dict[str, Any]) -> None:
    from safetensors.numpy import save_file

    save_file(weights, str(path), metadata={"format": "pt"})


def _write_json(path: Path, content: dict[str, object]) -> None:
    path.write_text(json.dumps(content, indent=1))
