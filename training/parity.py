"""parity.py -- the shipped f16 file against the f32 weights it was made of.

Both compute in f32 on the same pairs; the largest difference of two logits
must be at most 1e-2, and nDCG@10 on DL19 must agree within 0.002.
Exit status 1 when it does not.
"""
import argparse
import os
import sys

import numpy as np
import torch

from evaluate import load_task, set_candidates
from train import PairTokenizer, load_model, score_pairs


def main():
    p = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    p.add_argument("--average", required=True, help="the f32 weights: RUN/average-N.pt")
    p.add_argument("--model", default="models/reranker-minilm-l6-v1", help="the shipped folder")
    p.add_argument("--data", default=os.environ.get("WN_SHARED", "../shared") + "/data")
    p.add_argument("--max-tokens", type=int, default=256)
    p.add_argument("--threads", type=int, default=2)
    args = p.parse_args()
    torch.set_num_threads(1)
    task = load_task("dl19", args.data, "")
    set_candidates(task, args)
    pairs = [(task.queries[q], task.texts[i]) for q in task.keys for i in task.candidates[q]]
    tok = PairTokenizer(args.model, args.max_tokens)
    shipped = load_model(args.model).eval()
    trained = load_model(args.model).eval()
    trained.load_state_dict(torch.load(args.average, map_location="cpu"))
    scores = [score_pairs(m, tok, pairs, threads=args.threads, exact=True) for m in (trained, shipped)]
    difference, mean = float(np.abs(scores[0] - scores[1]).max()), []
    for s in scores:
        at, values = 0, []
        for q in task.keys:
            n = len(task.candidates[q])
            values.append(task.ndcg(q, s[at:at + n]))
            at += n
        mean.append(float(np.mean(values)))
    print(f"{len(pairs)} pairs: largest logit difference {difference:.2e} (bound 1e-2), "
          f"DL19 nDCG@10 f32 {mean[0]:.4f}, shipped f16 {mean[1]:.4f} (bound 0.002)")
    sys.exit(0 if difference <= 1e-2 and abs(mean[0] - mean[1]) <= 0.002 else 1)


if __name__ == "__main__":
    main()
