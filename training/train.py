"""train.py -- fine-tune the cross-encoder on the groups that mine.py wrote.

One step takes STEP_GROUPS groups of eight pairs. A group with teacher scores
costs KL(softmax(teacher) || softmax(logits)) plus MARGIN times the squared
error of the centred logits (all margins of the group at once); a labelled
group costs cross-entropy. Learning rate: warm-up, flat, then a linear fall
to zero over the last pairs (--cooldown). Flat in the middle so that a run
can be extended: a later `--pairs` goes on from state.pt, the checkpoint
before the fall. An exponential average of the weights is what is evaluated
and exported.

Departures from the usual recipe, each for the CPU: bf16 autocast, dropout off
(too few passes to overfit), the word embeddings frozen (half of the
parameters; they need millions of pairs to move usefully), pairs of a portion
sorted by length into two passes so that padding is small. The groups of a step
are shared out, two a portion, to single-threaded workers: with other work on
the machine this is far better than two threads meeting at every matrix
product. Eager attention, because the fused CPU kernel's backward pass is
slower here: 0.036 against 0.051 CPU seconds a pair at 80 tokens (measured on
an AMD EPYC with AVX512_BF16).

Resume: the order of groups is a function of the seed and the step alone, so
state.pt (weights, average, optimizer, step) is all that a restart needs.
Stop early: write a number of pairs into RUN/cooldown; the fall begins there.
"""
import argparse
import csv
import json
import math
import os
import random
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch
from tokenizers import Tokenizer
from transformers import BertForSequenceClassification

STEP_GROUPS = 4
WINDOW = 64  # groups that are sorted by length together
MIX = {"distil": 0.55, "pseudo": 0.13, "label": 0.32}
MARGIN = 0.1
EMA = 0.995


class PairTokenizer:
    """[CLS] query [SEP] passage [SEP], only the passage is ever cut."""

    def __init__(self, model_dir, max_tokens):
        self.tok = Tokenizer.from_file(os.path.join(model_dir, "tokenizer.json"))
        self.tok.no_padding()
        self.tok.enable_truncation(max_tokens, strategy="only_second")

    def pairs(self, pairs):
        return self.tok.encode_batch(pairs)


def collate(encodings):
    width = max(len(e.ids) for e in encodings)
    ids = torch.zeros(len(encodings), width, dtype=torch.long)
    types, mask = torch.zeros_like(ids), torch.zeros_like(ids)
    for row, e in enumerate(encodings):
        n = len(e.ids)
        ids[row, :n] = torch.tensor(e.ids)
        types[row, :n] = torch.tensor(e.type_ids)
        mask[row, :n] = 1
    return ids, types, mask


def load_model(path):
    """A one-logit BERT from a reranker folder, or from a bi-encoder's (then
    the head is new)."""
    torch.manual_seed(8)
    model = BertForSequenceClassification.from_pretrained(
        path, num_labels=1, dtype=torch.float32, attn_implementation="eager",
        hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0)
    model.bert.embeddings.word_embeddings.weight.requires_grad = False
    return model


def forward(model, ids, types, mask, exact=False):
    """Logits [n], f32. The head stays out of autocast: a logit rounded to bf16
    (steps of 0.03 at 5) ties passages, and ties flatter a ranking, because they
    keep the candidates' order: 0.491 on DL19 for the first model, 0.460 without."""
    with torch.autocast("cuda" if ids.is_cuda else "cpu", torch.bfloat16, enabled=not exact):
        hidden = model.bert(input_ids=ids, token_type_ids=types, attention_mask=mask).last_hidden_state
    pooler = model.bert.pooler
    return model.classifier(pooler.activation(pooler.dense(hidden[:, 0].float())))[:, 0]


def score_pairs(model, tok, pairs, batch=16, device="cpu", threads=2, exact=False):
    """Logits of (query, passage) pairs, numpy f32, in the given order; exact
    computes in f32 instead of bf16."""
    encoded = tok.pairs(pairs)
    order = np.argsort([len(e.ids) for e in encoded], kind="stable")
    out = np.zeros(len(pairs), np.float32)

    def score(rows):
        with torch.no_grad():
            tensors = [t.to(device) for t in collate([encoded[r] for r in rows])]
            out[rows] = forward(model, *tensors, exact=exact).float().cpu().numpy()

    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(score, [order[at:at + batch] for at in range(0, len(order), batch)]))
    return out


def ndcg(gains_in_order, k=10):
    discount = 1 / np.log2(np.arange(2, k + 2))
    got = (np.asarray(gains_in_order, float)[:k] * discount[:len(gains_in_order[:k])]).sum()
    best = np.sort(np.asarray(gains_in_order, float))[::-1][:k]
    ideal = (best * discount[:len(best)]).sum()
    return float(got / ideal) if ideal > 0 else 0.0


def evaluate(model, tok, held, device="cpu"):
    """(teacher nDCG@10, label MRR) on held-out queries of the training sources.
    The teacher's first tenth of a ranking counts 3, the next 2, then 1."""
    pairs = [(g["q"], p) for g in held for p in g["p"]]
    scores = score_pairs(model, tok, pairs, device=device)
    at, agree, mrr = 0, [], []
    for g in held:
        s = scores[at:at + len(g["p"])]
        at += len(g["p"])
        order = np.argsort(-s, kind="stable")
        if g["kind"] == "label":
            mrr.append(1 / (1 + [g["y"][i] for i in order].index(1)))
        else:
            rank = np.argsort(np.argsort(-np.asarray(g["t"])))
            tenth = len(s) // 10
            gain = np.select([rank < tenth, rank < 2 * tenth, rank < 4 * tenth], [7, 3, 1], 0)
            agree.append(ndcg(gain[order]))
    return float(np.mean(agree or [0])), float(np.mean(mrr or [0]))


class Groups:
    """Deterministic batches: window w is a function of the seed and w."""

    def __init__(self, path, seed):
        self.seed = seed
        self.by_kind = {k: [] for k in MIX}
        with open(path, encoding="utf-8") as f:
            for line in f:
                g = json.loads(line)
                self.by_kind[g["kind"]].append(g)
        self.order = {}

    def _pick(self, kind, number):
        rows = self.by_kind[kind]
        turn, at = divmod(number, len(rows))
        if (kind, turn) not in self.order:
            order = list(range(len(rows)))
            random.Random(f"{self.seed}-{kind}-{turn}").shuffle(order)
            self.order[(kind, turn)] = order
        return rows[self.order[(kind, turn)][at]]

    def window(self, w):
        # The shares of a window are fixed, so group number n of a kind is known.
        share = {k: round(WINDOW * v) for k, v in MIX.items() if self.by_kind[k]}
        groups = [self._pick(k, w * n + i) for k, n in share.items() for i in range(n)]
        groups.sort(key=lambda g: sum(min(len(p), 700) for p in g["p"]))
        batches = [groups[i:i + STEP_GROUPS] for i in range(0, len(groups), STEP_GROUPS)]
        random.Random(f"{self.seed}-window-{w}").shuffle(batches)
        return batches


def group_loss(logits, group, label_weight):
    if "y" in group:
        y = torch.tensor(group["y"], dtype=torch.float32, device=logits.device)
        return -label_weight * (y / y.sum() * torch.log_softmax(logits, 0)).sum()
    t = torch.tensor(group["t"], dtype=torch.float32, device=logits.device)
    p = torch.softmax(t, 0)
    kl = (p * (torch.log_softmax(t, 0) - torch.log_softmax(logits, 0))).sum()
    return kl + MARGIN * ((logits - logits.mean()) - (t - t.mean())).pow(2).mean()


def gradients_of(model, tok, groups, share, args, trained):
    """(loss, gradients, pairs) of some groups; runs in a worker thread."""
    encoded = tok.pairs([(g["q"], p) for g in groups for p in g["p"]])
    order = sorted(range(len(encoded)), key=lambda i: len(encoded[i].ids))
    half = (len(order) + 1) // 2
    parts = [forward(model, *[t.to(args.device) for t in collate([encoded[i] for i in rows])]).float()
             for rows in (order[:half], order[half:]) if rows]
    inverse = torch.empty(len(order), dtype=torch.long)
    inverse[torch.tensor(order)] = torch.arange(len(order))
    logits, loss, at = torch.cat(parts)[inverse.to(args.device)], 0.0, 0
    for g in groups:
        loss = loss + share * group_loss(logits[at:at + len(g["p"])], g, args.label_weight)
        at += len(g["p"])
    return float(loss.detach()), torch.autograd.grad(loss, trained), len(encoded)


def batch_gradients(pool, model, tok, batch, args, trained):
    """(loss, pairs) of a step; its gradient is left in the parameters. Two
    groups make a worker's portion: fewer pairs than eight a pass waste a
    fifth of the time on reordering weights."""
    portions = [batch[i:i + 2] for i in range(0, len(batch), 2)]
    work = [pool.submit(gradients_of, model, tok, p, 1 / len(batch), args, trained) for p in portions]
    done = [w.result() for w in work]
    # Summed in the batch's order, not the threads': floating point stays repeatable.
    for k, parameter in enumerate(trained):
        parameter.grad = sum((gradients[k] for _, gradients, _ in done[1:]), done[0][1][k])
    return sum(loss for loss, _, _ in done), sum(count for _, _, count in done)


def learning_rate(args, pairs, fall_from, fall_to):
    warm = min(1.0, (pairs + 1) / args.warmup)
    if fall_from is None or pairs < fall_from:
        return args.lr * warm
    return args.lr * warm * max(0.0, (fall_to - pairs) / max(1, fall_to - fall_from))


def limit_length(tokenizer_config, tokens):
    """What a model reads is cut there by winnow and by sentence-transformers alike."""
    with open(tokenizer_config) as f:
        config = json.load(f)
    config["model_max_length"] = tokens
    with open(tokenizer_config, "w") as f:
        json.dump(config, f)


def export(weights, template, out_dir, source_dir, reads=None):
    """A folder in the shipped form: f16 safetensors, config, tokenizer. reads: the longest input, in tokens, that the
    model is to be given; None: the source's."""
    import shutil
    from safetensors.torch import save_file

    os.makedirs(out_dir, exist_ok=True)
    tensors = {k: v.detach().cpu().half().contiguous() for k, v in weights.items()}
    save_file(tensors, os.path.join(out_dir, "model.safetensors"), metadata={"format": "pt"})
    config = template.config.to_dict()
    config.update(architectures=["BertForSequenceClassification"], dtype="float16",
                  hidden_dropout_prob=0.1, attention_probs_dropout_prob=0.1,
                  sentence_transformers={"activation_fn": "torch.nn.modules.linear.Identity", "version": "6.2.0"})
    for key in ("_name_or_path", "transformers_version", "torch_dtype", "chunk_size_feed_forward", "problem_type",
                "is_encoder_decoder", "output_attentions", "output_hidden_states", "return_dict"):
        config.pop(key, None)
    with open(os.path.join(out_dir, "config.json"), "w") as f:
        json.dump(config, f, indent=2, sort_keys=True)
        f.write("\n")
    for name in ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "vocab.txt"):
        if os.path.exists(os.path.join(source_dir, name)):
            shutil.copyfile(os.path.join(source_dir, name), os.path.join(out_dir, name))
    if reads:
        limit_length(os.path.join(out_dir, "tokenizer_config.json"), reads)
    for name in os.listdir(out_dir):  # safetensors writes 0600, and the source may be read-only
        os.chmod(os.path.join(out_dir, name), 0o644)


def save_state(path, model, average, optimizer, step, pairs):
    torch.save({"model": model.state_dict(), "average": average, "optimizer": optimizer.state_dict(),
                "step": step, "pairs": pairs}, path + ".part")
    os.replace(path + ".part", path)


def arguments():
    p = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    p.add_argument("--run", default="training/runs/v1")
    p.add_argument("--groups", default="training/runs/groups.jsonl")
    p.add_argument("--held", default="training/runs/held.jsonl")
    p.add_argument("--init", default="models/reranker-minilm-l6-v0", help="folder of the starting weights")
    p.add_argument("--pairs", type=int, default=400000, help="pairs in all, the fall included")
    p.add_argument("--cooldown", type=int, default=40000, help="pairs of the falling learning rate")
    p.add_argument("--lr", type=float, default=1.5e-4)
    p.add_argument("--warmup", type=int, default=3000, help="pairs")
    p.add_argument("--label-weight", type=float, default=0.7)
    p.add_argument("--max-tokens", type=int, default=160, help="a training pair is cut there")
    p.add_argument("--reads", type=int, default=256, help="the shipped model's longest input: README.md says how it was chosen")
    p.add_argument("--check", type=int, default=12000, help="pairs between evaluations")
    p.add_argument("--save", type=int, default=4000, help="pairs between saved states")
    p.add_argument("--threads", type=int, default=2)
    p.add_argument("--seed", type=int, default=8)
    p.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    return p.parse_args()


class Run:
    def __init__(self, args):
        self.args = args
        os.makedirs(args.run, exist_ok=True)
        self.state_file = os.path.join(args.run, "state.pt")
        self.tok = PairTokenizer(args.init, args.max_tokens)
        self.model = load_model(args.init).to(args.device).train()
        self.trained = [q for q in self.model.parameters() if q.requires_grad]
        self.pool = ThreadPoolExecutor(args.threads)
        self.optimizer = torch.optim.AdamW(self.trained, lr=args.lr, weight_decay=0.01)
        self.average = {k: v.clone() for k, v in self.model.state_dict().items()}
        self.step, self.pairs, self.spent = 0, 0, 0.0
        if os.path.exists(self.state_file):
            state = torch.load(self.state_file, map_location=args.device)
            self.model.load_state_dict(state["model"])
            self.optimizer.load_state_dict(state["optimizer"])
            self.average, self.step, self.pairs = state["average"], state["step"], state["pairs"]
            print(f"resumed at step {self.step}, {self.pairs} pairs", flush=True)
        self.groups = Groups(args.groups, args.seed)
        with open(args.held, encoding="utf-8") as f:
            self.held = [json.loads(line) for line in f]
        self.judge = load_model(args.init).to(args.device).eval()
        self.best = self.best_so_far()
        self.fall = None

    def best_so_far(self):
        path = os.path.join(self.args.run, "checks.csv")
        if self.step == 0 or not os.path.exists(path):
            return -1.0
        with open(path) as f:
            return max((float(row[4]) for row in csv.reader(f)), default=-1.0)

    def cooldown_range(self):
        """(from, to) in pairs; a cooldown file starts the fall at once."""
        asked = os.path.join(self.args.run, "cooldown")
        if self.fall is None and os.path.exists(asked):
            with open(asked) as f:
                length = int(f.read())
            self.fall = (self.pairs, self.pairs + length)
        return self.fall or (self.args.pairs - self.args.cooldown, self.args.pairs)

    def check(self):
        started = time.time()
        self.judge.load_state_dict(self.average)
        agree, mrr = evaluate(self.judge, self.tok, self.held, self.args.device)
        row = [self.step, self.pairs, round(agree, 4), round(mrr, 4), round((agree + mrr) / 2, 4), int(time.time())]
        with open(os.path.join(self.args.run, "checks.csv"), "a", newline="") as f:
            csv.writer(f).writerow(row)
        print(f"check: {self.pairs} pairs, teacher nDCG@10 {agree:.4f}, label MRR {mrr:.4f} "
              f"({time.time() - started:.0f} s)", flush=True)
        torch.save(self.average, os.path.join(self.args.run, f"average-{self.pairs}.pt"))
        if (agree + mrr) / 2 > self.best:
            self.best = (agree + mrr) / 2
            export(self.average, self.model, os.path.join(self.args.run, "best"), self.args.init, self.args.reads)

    def one_step(self, batch, fall):
        rate = learning_rate(self.args, self.pairs, *fall)
        for g in self.optimizer.param_groups:
            g["lr"] = rate
        loss, count = batch_gradients(self.pool, self.model, self.tok, batch, self.args, self.trained)
        torch.nn.utils.clip_grad_norm_(self.trained, 1.0)
        self.optimizer.step()
        decay = min(EMA, (self.step + 1) / (self.step + 10))
        with torch.no_grad():
            for k, v in self.model.state_dict().items():
                if v.dtype.is_floating_point and "word_embeddings" not in k:
                    self.average[k].lerp_(v, 1 - decay)
        self.step += 1
        self.pairs += count
        return loss

    def train(self):
        losses, started, counted = [], time.time(), self.pairs
        next_check = (self.pairs // self.args.check + 1) * self.args.check
        next_save = (self.pairs // self.args.save + 1) * self.args.save
        if self.step == 0:
            self.check()
        per_window = math.ceil(len(self.groups.window(0)))
        while True:
            w, first = divmod(self.step, per_window)
            for batch in self.groups.window(w)[first:]:
                fall = self.cooldown_range()
                if self.pairs >= fall[1]:
                    return self.check()
                losses.append(self.one_step(batch, fall))
            speed = (self.pairs - counted) / (time.time() - started)
            print(f"{time.strftime('%H:%M:%S')} step {self.step} pairs {self.pairs} loss {np.mean(losses):.4f} "
                  f"{speed:.1f} pairs/s", flush=True)
            losses, started, counted = [], time.time(), self.pairs
            # The state before the fall is the one that a longer run goes on from.
            if self.pairs >= next_save and self.pairs < self.cooldown_range()[0]:
                save_state(self.state_file, self.model, self.average, self.optimizer, self.step, self.pairs)
                next_save = (self.pairs // self.args.save + 1) * self.args.save
            if self.pairs >= next_check:
                self.check()
                next_check = (self.pairs // self.args.check + 1) * self.args.check


def main():
    args = arguments()
    torch.set_num_threads(1)  # the threads are the pool's, one group each
    Run(args).train()


if __name__ == "__main__":
    main()
