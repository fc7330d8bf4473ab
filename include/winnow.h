/* winnow.h -- two-stage retrieval in C: everything a program needs.
 *
 * Mental model. A *passage* is a piece of a document. Stage 1, the first stage,
 * recalls candidates fast: a bi-encoder turns query and passages into vectors
 * apart from each other, BM25 counts their common words. Stage 2, the
 * cross-encoder, reads query and passage together and reorders the candidates.
 *
 * Lifecycle. open/close is for what lives in files (tokenizer, model, index),
 * create/free for what lives in memory. Closing or freeing NULL is fine.
 *
 * From simple to advanced:
 *   winnow/core.h     status, error, options that apply everywhere
 *   winnow/text.h     tokenizers, splitters, documents read from files
 *   winnow/model.h    bi-encoder and cross-encoder: embed, score, score_batch
 *   winnow/index.h    one SQLite file: passages, embeddings, full text
 *   winnow/search.h   two-stage search and compare
 *   winnow/eval.h     labelled queries, runs, measures, how sure a difference is
 *   winnow/analysis.h does reranking pay: studies, impact, sweep, advice, why
 *
 * Threads. A tokenizer and a model are immutable and may be shared. An encoder,
 * an index handle and a searcher belong to one thread at a time; each uses its
 * own worker threads inside.
 *
 * Errors. Every call that can fail returns a wn_status, 0 being success, and
 * fills the caller's wn_error when one is passed (NULL is fine). Results are
 * written through `out` parameters on success only. The library never prints
 * and never exits.
 */
#ifndef WINNOW_H
#define WINNOW_H

#include <winnow/core.h>
#include <winnow/text.h>
#include <winnow/model.h>
#include <winnow/index.h>
#include <winnow/search.h>
#include <winnow/eval.h>
#include <winnow/analysis.h>

#endif
