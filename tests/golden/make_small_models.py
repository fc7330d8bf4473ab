#!/usr/bin/env python3
"""Make the small random-weight models under tests/golden/models/.

  small-xlmr           XLMRobertaModel, bf16, two shards, sentence-transformers files (mean, normalised)
  small-xlmr-reranker  XLMRobertaForSequenceClassification, f16, one label
  small-bert-reranker  BertForSequenceClassification, f32, one label
  onnx/<name>          tiny models, each as safetensors and as ONNX by both torch exporters

The first three prove the architectures (forward pass against transformers); the last is what the
ONNX reader's tests compare tensor by tensor. The weights are drawn wide on purpose: transformers'
own initialisation (std 0.02, biases 0, norms 1) leaves attention flat and every bias and norm
equal, so that a forgotten bias or two swapped tensors would not show.

  python tests/golden/make_small_models.py [--xlmr-vocab N] [--all-onnx --out DIR]

--all-onnx adds the two architectures without a head (their graphs are part of the others': not
committed).

The XLM-R embedding table has room for tests/golden/tokenizers/small-xlmr (3,706 tokens) and more:
as in real models, not every row has a token. Goldens of the encoder hang on these weights: after a
change here run make_encoder_goldens.py too. ONNX by the
dynamo exporter needs the onnxscript package; without it those files are left as they are.
"""
import argparse
import hashlib
import importlib.metadata
import json
import pathlib
import shutil
import warnings

import torch
import transformers
from safetensors.torch import save_file
from transformers import (BertConfig, BertForSequenceClassification, BertModel, XLMRobertaConfig,
                          XLMRobertaForSequenceClassification, XLMRobertaModel)

HERE = pathlib.Path(__file__).resolve().parent
OUT = HERE / "models"
SEED = 20240607


def randomise(model, seed):
    generator = torch.Generator().manual_seed(seed)
    for name, p in model.named_parameters():
        noise = torch.randn(p.shape, generator=generator)
        if "LayerNorm.weight" in name:
            p.data = 1 + 0.2 * noise
        elif p.dim() == 1:
            p.data = 0.2 * noise
        elif "embeddings" in name:
            p.data = 0.7 * noise
        else:
            p.data = 1.3 * noise / p.shape[1] ** 0.5
    return model.eval()


def write_json(path, value):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value, indent=2, ensure_ascii=False, sort_keys=True) + "\n")


def save(model, folder, dtype, shards=1, config=None):
    """model.safetensors (or shards and their index) and config.json."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    model.config.architectures = [type(model).__name__]
    values = {**model.config.to_diff_dict(), **(config or {})}
    values["dtype"] = str(dtype).removeprefix("torch.")
    values.setdefault("model_type", model.config.model_type)
    values.pop("transformers_version", None)
    write_json(folder / "config.json", values)
    tensors = {k: v.detach().to(dtype).contiguous() for k, v in model.state_dict().items()
               if v.is_floating_point()}
    names = sorted(tensors)
    if shards == 1:
        save_file(tensors, folder / "model.safetensors", {"format": "pt"})
        return
    weight_map = {}
    for s in range(shards):
        file = f"model-{s + 1:05d}-of-{shards:05d}.safetensors"
        part = names[s * len(names) // shards:(s + 1) * len(names) // shards]
        save_file({k: tensors[k] for k in part}, folder / file, {"format": "pt"})
        weight_map.update({k: file for k in part})
    total = sum(t.numel() * t.element_size() for t in tensors.values())
    write_json(folder / "model.safetensors.index.json",
               {"metadata": {"total_size": total}, "weight_map": weight_map})


def xlmr_config(vocab, **sizes):
    return XLMRobertaConfig(vocab_size=vocab, pad_token_id=1, bos_token_id=0, eos_token_id=2,
                            type_vocab_size=1, layer_norm_eps=1e-5, **sizes)


def small_models(vocab):
    sizes = dict(hidden_size=32, num_hidden_layers=3, num_attention_heads=4, intermediate_size=128,
                 max_position_embeddings=514)
    encoder = randomise(XLMRobertaModel(xlmr_config(vocab, **sizes), add_pooling_layer=False), SEED)
    folder = OUT / "small-xlmr"
    save(encoder, folder, torch.bfloat16, shards=2)
    write_json(folder / "modules.json", [
        {"idx": 0, "name": "0", "path": "", "type": "sentence_transformers.models.Transformer"},
        {"idx": 1, "name": "1", "path": "1_Pooling", "type": "sentence_transformers.models.Pooling"},
        {"idx": 2, "name": "2", "path": "2_Normalize",
         "type": "sentence_transformers.models.Normalize"}])
    write_json(folder / "1_Pooling" / "config.json",
               {"word_embedding_dimension": 32, "pooling_mode_cls_token": False,
                "pooling_mode_mean_tokens": True})
    write_json(folder / "sentence_bert_config.json", {"max_seq_length": 256, "do_lower_case": False})
    write_json(folder / "config_sentence_transformers.json",
               {"prompts": {"query": "query: ", "passage": "passage: "},
                "default_prompt_name": None, "similarity_fn_name": "cosine"})

    reranker = XLMRobertaForSequenceClassification(xlmr_config(vocab, num_labels=1, **sizes))
    save(randomise(reranker, SEED + 1), OUT / "small-xlmr-reranker", torch.float16)

    bert = BertConfig(vocab_size=512, hidden_size=32, num_hidden_layers=2, num_attention_heads=2,
                      intermediate_size=64, max_position_embeddings=128, num_labels=1)
    save(randomise(BertForSequenceClassification(bert), SEED + 2), OUT / "small-bert-reranker",
         torch.float32)



def narrow_forward(model, inputs):
    """Only tensors in the signature, as optimum does: the exporters pass every default by position,
    which transformers' decorated forward refuses. On the instance, so that names get no prefix."""
    forward = type(model).forward

    def three(input_ids, attention_mask, token_type_ids):
        return forward(model, input_ids=input_ids, attention_mask=attention_mask,
                       token_type_ids=token_type_ids, return_dict=False)[0]

    def two(input_ids, attention_mask):
        return forward(model, input_ids=input_ids, attention_mask=attention_mask,
                       return_dict=False)[0]

    model.forward = three if len(inputs) == 3 else two


def export(model, path, dynamo, inputs=("input_ids", "attention_mask", "token_type_ids")):
    narrow_forward(model, inputs)
    ids = torch.randint(5, 60, (2, 9))
    values = {"input_ids": ids, "attention_mask": torch.ones_like(ids),
              "token_type_ids": torch.zeros_like(ids)}
    kwargs = {k: values[k] for k in inputs}
    common = dict(input_names=list(inputs), output_names=["out"])
    if dynamo:
        shapes = {k: {0: torch.export.Dim("batch", min=1, max=64), 1: torch.export.Dim("n", min=2, max=30)}
                  for k in inputs}
        torch.onnx.export(model, (), str(path), kwargs=kwargs, dynamo=True, dynamic_shapes=shapes,
                          external_data=False, optimize=True, verbose=False, **common)
    else:
        axes = {k: {0: "batch", 1: "n"} for k in inputs}
        torch.onnx.export(model, tuple(kwargs.values()), str(path), dynamo=False, opset_version=14,
                          dynamic_axes=axes, do_constant_folding=True, **common)


def strip(path):
    """Stack traces and intermediate shapes: nine tenths of a dynamo export, with local paths in it."""
    import onnx
    model = onnx.load(path)
    del model.graph.value_info[:], model.graph.metadata_props[:], model.metadata_props[:]
    for part in (*model.graph.node, *model.graph.input, *model.graph.output, *model.graph.initializer):
        part.doc_string = ""
        del part.metadata_props[:]
    onnx.save(model, path)


def onnx_models(all_of_them):
    sizes = dict(hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=24,
                 max_position_embeddings=34)
    bert = dict(vocab_size=64, num_labels=1, attn_implementation="eager", **sizes)
    xlmr = dict(vocab=64, num_labels=1, attn_implementation="eager", **sizes)
    models = {
        "bert": BertModel(BertConfig(**bert)),
        "bert-reranker": BertForSequenceClassification(BertConfig(**bert)),
        "xlmr": XLMRobertaModel(xlmr_config(**xlmr), add_pooling_layer=False),
        "xlmr-reranker": XLMRobertaForSequenceClassification(xlmr_config(**xlmr)),
    }
    for i, (name, model) in enumerate(models.items()):
        if not (all_of_them or name.endswith("reranker")):
            continue
        kept = {}
        folder = OUT / "onnx" / name
        if (folder / "dynamo.onnx").exists():
            kept["dynamo.onnx"] = (folder / "dynamo.onnx").read_bytes()
        randomise(model, SEED + 10 + i)
        save(model, folder, torch.float32)
        inputs = ("input_ids", "attention_mask") + (("token_type_ids",) if "bert" in name else ())
        export(model, folder / "legacy.onnx", False, inputs)
        try:
            import onnxscript  # noqa: F401
            export(model, folder / "dynamo.onnx", True, inputs)
            strip(folder / "dynamo.onnx")
        except ImportError:
            print(f"{name}: onnxscript is not here; dynamo.onnx left as it was")
            for file, data in kept.items():
                (folder / file).write_bytes(data)


def manifest():
    def version(package):
        try:
            return importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            return None
    files = {str(p.relative_to(OUT)): hashlib.sha256(p.read_bytes()).hexdigest()
             for p in sorted(OUT.rglob("*")) if p.is_file() and p.name != "MANIFEST.json"}
    for p in OUT.rglob("*"):
        p.chmod(0o755 if p.is_dir() else 0o644)
    write_json(OUT / "MANIFEST.json", {
        "generator": "tests/golden/make_small_models.py", "seed": SEED, "files_sha256": files,
        "versions": {p: version(p) for p in ("torch", "transformers", "safetensors", "onnx", "onnxscript")}})
    print(sum(p.stat().st_size for p in OUT.rglob("*") if p.is_file()), "bytes in all")


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--xlmr-vocab", type=int, default=4000)
    parser.add_argument("--all-onnx", action="store_true")
    parser.add_argument("--out", type=pathlib.Path, default=HERE / "models")
    args = parser.parse_args()
    global OUT
    OUT = args.out
    tokenizer = HERE / "tokenizers" / "small-xlmr" / "tokenizer.json"
    if tokenizer.exists():
        spec = json.loads(tokenizer.read_text())
        used = max(len(spec["model"]["vocab"]), *(t["id"] + 1 for t in spec["added_tokens"]))
        assert used <= args.xlmr_vocab, f"the small-xlmr tokenizer has {used} tokens"
    warnings.filterwarnings("ignore")
    transformers.logging.set_verbosity_error()
    torch.manual_seed(SEED)
    small_models(args.xlmr_vocab)
    onnx_models(args.all_onnx)
    manifest()


if __name__ == "__main__":
    main()
