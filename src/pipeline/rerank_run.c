/* rerank_run.c -- reorders another system's run with a cross-encoder, without an index.
 *
 * The texts that the run's first `depth` documents need are taken from the corpus in one pass; then query
 * by query, each appended to OUT.partial when it is done (see partial_run.c). A document that the
 * corpus does not hold can't be read, and dropping it would change what the run found: it stays, below
 * what was read, with what lies deeper than `depth`, in the run's own order.
 *
 * Scores written are logits. A run's readers sort by score and break ties by document id, so of equal
 * logits the later is written one step of a double lower, and what was not read one whole unit below
 * its predecessor: the order that was meant is the order that is read. */
#include "core/error.h"
#include "core/hash.h"
#include "core/memory.h"
#include "index/beir_corpus.h"
#include "index/document_source.h"
#include "index/passage.h"
#include "pipeline/partial_run.h"
#include "pipeline/ranking.h"
#include "pipeline/stages.h"
#include <winnow/analysis.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_LINE = 1 << 26 };

wn_rerank_run_options wn_rerank_run_options_default(void) {
    return (wn_rerank_run_options){.size = sizeof(wn_rerank_run_options), .depth = 100, .tag = "winnow"};
}

typedef struct {
    const char *id; /* of the run */
    char *text;     /* NULL: not in the corpus */
    size_t len;
} needed_text;

typedef struct {
    wn_cross_encoder *cross;
    wn_run *run;
    const wn_topics *topics;
    wn_rerank_run_options options;
    wn_rerank_run_stats stats;
    needed_text *texts; /* [ntexts], by id */
    size_t ntexts, cap;
} rerank_job;

/* ---- Texts ----------------------------------------------------------------------- */

static int by_id(const void *pa, const void *pb) {
    return strcmp(((const needed_text *)pa)->id, ((const needed_text *)pb)->id);
}

static needed_text *find_text(const rerank_job *job, const char *id) {
    needed_text key = {.id = id};
    return job->ntexts ? bsearch(&key, job->texts, job->ntexts, sizeof key, by_id) : NULL;
}

static wn_status list_needed(rerank_job *job, wn_error *err) {
    for (size_t i = 0; i < wn_run_queries(job->run); i++) {
        const wn_run_entry *entries;
        size_t n;
        WN_TRY(wn_run_ranking(job->run, wn_run_query(job->run, i), &entries, &n, err));
        if (n > job->options.depth) n = job->options.depth;
        WN_TRY(wn_grow(&job->texts, &job->cap, job->ntexts + n + 1, sizeof *job->texts, err));
        for (size_t j = 0; j < n; j++) job->texts[job->ntexts++] = (needed_text){.id = entries[j].document};
    }
    size_t kept = 0;
    if (job->ntexts) qsort(job->texts, job->ntexts, sizeof *job->texts, by_id);
    for (size_t i = 0; i < job->ntexts; i++)
        if (!kept || strcmp(job->texts[kept - 1].id, job->texts[i].id) != 0) job->texts[kept++] = job->texts[i];
    job->ntexts = kept;
    return WN_OK;
}

static wn_status keep_text(rerank_job *job, const wn_beir_document *document, wn_buf *input, wn_error *err) {
    needed_text *text = find_text(job, document->id);
    if (!text || text->text) return WN_OK; /* of a document that occurs twice the first counts */
    wn_str title = {document->title, strlen(document->title)};
    WN_TRY(wn_passage_input(WN_DOCUMENT_CORPUS, title, document->text, input, err));
    text->text = wn_strndup(input->data ? input->data : "", input->len);
    text->len = input->len;
    return text->text ? WN_OK : wn_fail_memory(err, input->len);
}

static wn_status load_texts(rerank_job *job, const char *path, wn_error *err) {
    wn_beir_corpus *corpus = NULL;
    wn_buf input = {0};
    WN_TRY(list_needed(job, err));
    WN_TRY(wn_beir_corpus_open(path, MAX_LINE, &corpus, err));
    wn_status st;
    for (;;) {
        wn_beir_event event;
        wn_beir_document document;
        st = wn_beir_corpus_next(corpus, &event, &document, err);
        if (st != WN_OK || event == WN_BEIR_END) break;
        if (event == WN_BEIR_DOCUMENT) st = keep_text(job, &document, &input, err);
        if (st != WN_OK) break;
    }
    wn_beir_corpus_close(corpus);
    wn_buf_release(&input);
    for (size_t i = 0; st == WN_OK && i < job->ntexts; i++) job->stats.missing += !job->texts[i].text;
    if (st == WN_OK && job->ntexts && job->stats.missing == job->ntexts)
        st = wn_fail(err, WN_ERR_MISMATCH, "%s: holds none of the run's documents, such as %s", path,
                     job->texts[0].id);
    return st;
}

/* ---- What this output is of --------------------------------------------------------- */

static void hash_text(wn_hasher *hasher, const char *text, size_t len) {
    uint64_t length = len;
    wn_hasher_update(hasher, &length, sizeof length);
    wn_hasher_update(hasher, text ? text : "", len);
}

/* Queries, rankings, scores' inputs and settings: a partial output of anything else is refused. */
static wn_status describe(rerank_job *job, wn_buf *out, wn_error *err) {
    wn_hasher *hasher = wn_hasher_create();
    if (!hasher) return wn_fail_memory(err, 64);
    wn_status st = WN_OK;
    for (size_t i = 0; st == WN_OK && i < wn_run_queries(job->run); i++) {
        const char *id = wn_run_query(job->run, i);
        const wn_run_entry *entries;
        size_t n = 0, at;
        st = wn_run_ranking(job->run, id, &entries, &n, err);
        if (st == WN_OK && !wn_topics_find(job->topics, id, &at))
            st = wn_fail(err, WN_ERR_NOT_FOUND, "query %s of the run is not among the queries", id);
        if (st != WN_OK) break;
        wn_topic topic = wn_topics_get(job->topics, at);
        hash_text(hasher, id, strlen(id));
        hash_text(hasher, topic.text.data, topic.text.len);
        for (size_t j = 0; j < n; j++) hash_text(hasher, entries[j].document, strlen(entries[j].document));
    }
    for (size_t i = 0; i < job->ntexts; i++) hash_text(hasher, job->texts[i].text, job->texts[i].len);
    hash_text(hasher, job->options.tag, strlen(job->options.tag));
    char hex[33];
    wn_hash hash = wn_hasher_finish(hasher);
    wn_hash_hex(&hash, hex);
    WN_TRY(st);
    wn_model_info model = wn_model_describe(wn_cross_encoder_model(job->cross));
    return wn_buf_printf(out, err,
                         "# winnow rerank 1 model=%s precision=%s max_length=%zu depth=%zu policy=%d inputs=%s",
                         model.weights_hash, wn_precision_name(model.precision), model.max_length, job->options.depth,
                         (int)job->options.length_policy, hex);
}

/* ---- One query ------------------------------------------------------------------------- */

typedef struct {
    wn_str *texts;         /* [n]: what is read of the ranking, in its order */
    uint32_t *places;      /* [n]: where in the ranking */
    wn_pair_score *pairs;
    float *keys;
    wn_keyed *scratch;
    uint32_t *order;
} query_work;

static void work_release(query_work *w) {
    wn_free(w->texts);
    wn_free(w->places);
    wn_free(w->pairs);
    wn_free(w->keys);
    wn_free(w->scratch);
    wn_free(w->order);
}

static wn_status work_init(query_work *w, size_t n, wn_error *err) {
    w->texts = wn_calloc(n + 1, sizeof *w->texts);
    w->places = wn_calloc(n + 1, sizeof *w->places);
    w->pairs = wn_calloc(n + 1, sizeof *w->pairs);
    w->keys = wn_calloc(n + 1, sizeof *w->keys);
    w->scratch = wn_calloc(n + 1, sizeof *w->scratch);
    w->order = wn_calloc(n + 1, sizeof *w->order);
    if (w->texts && w->places && w->pairs && w->keys && w->scratch && w->order) return WN_OK;
    return wn_fail_memory(err, n * sizeof *w->pairs);
}

/* A line of the run, its score below the one before. */
static wn_status put_line(const rerank_job *job, const char *query, const char *document, double score,
                          size_t *rank, double *last, wn_buf *lines, wn_error *err) {
    if (*rank && !(score < *last)) score = nextafter(*last, -INFINITY);
    *last = score;
    ++*rank;
    return wn_buf_printf(lines, err, "%s Q0 %s %zu %.17g %s\n", query, document, *rank, score, job->options.tag);
}

static wn_status put_ranking(const rerank_job *job, const char *query, const wn_run_entry *entries, size_t n,
                             const query_work *w, size_t read, wn_buf *lines, wn_error *err) {
    size_t rank = 0, next = 0;
    double last = 0;
    for (size_t i = 0; i < read; i++)
        WN_TRY(put_line(job, query, entries[w->places[w->order[i]]].document,
                        (double)w->keys[w->order[i]], &rank, &last, lines, err));
    for (size_t i = 0; i < n; i++) {
        if (next < read && w->places[next] == i) next++;
        else WN_TRY(put_line(job, query, entries[i].document, last - 1, &rank, &last, lines, err));
    }
    return WN_OK;
}

static wn_status rerank_query(rerank_job *job, const char *query, wn_buf *lines, wn_error *err) {
    const wn_run_entry *entries;
    query_work w = {0};
    size_t n, read = 0, at = 0;
    WN_TRY(wn_run_ranking(job->run, query, &entries, &n, err));
    (void)wn_topics_find(job->topics, query, &at); /* describe() has looked */
    wn_topic topic = wn_topics_get(job->topics, at);
    wn_status st = work_init(&w, n, err);
    for (uint32_t i = 0; st == WN_OK && i < n && i < job->options.depth; i++) {
        const needed_text *text = find_text(job, entries[i].document);
        if (!text || !text->text) continue;
        w.texts[read] = (wn_str){text->text, text->len};
        w.places[read++] = i;
    }
    size_t batch = job->options.batch_size ? job->options.batch_size : WN_RERANK_BATCH;
    if (st == WN_OK && read)
        st = wn_cross_encoder_score_batch(job->cross, topic.text, w.texts, read, batch,
                                          job->options.length_policy, w.pairs, err);
    for (size_t i = 0; st == WN_OK && i < read; i++) {
        w.keys[i] = w.pairs[i].logit;
        job->stats.truncated += w.pairs[i].fit.tokens_dropped > 0 || w.pairs[i].fit.query_dropped > 0;
    }
    if (st == WN_OK) {
        wn_rank_by_score(w.keys, read, w.scratch, w.order);
        st = put_ranking(job, query, entries, n, &w, read, lines, err);
        job->stats.pairs += read;
    }
    work_release(&w);
    return st;
}

/* ---- All ------------------------------------------------------------------------------- */

static wn_status rerank_all(rerank_job *job, wn_partial_run *partial, wn_error *err) {
    wn_buf lines = {0};
    wn_status st = WN_OK;
    size_t total = wn_run_queries(job->run);
    const wn_rerank_run_options *o = &job->options;
    for (size_t i = 0; st == WN_OK && i < total; i++) {
        const char *query = wn_run_query(job->run, i);
        if (o->progress && !o->progress(o->progress_ctx, "queries", i, total)) {
            st = wn_fail(err, WN_ERR_CANCELLED, "stopped after %zu of %zu queries", i, total);
            break;
        }
        if (wn_partial_run_has(partial, query)) {
            job->stats.resumed++;
            continue;
        }
        wn_buf_clear(&lines);
        st = rerank_query(job, query, &lines, err);
        if (st == WN_OK) st = wn_partial_run_append(partial, query, &lines, err);
    }
    if (st == WN_OK && o->progress) o->progress(o->progress_ctx, "queries", total, total);
    wn_buf_release(&lines);
    return st;
}

wn_status wn_rerank_run(wn_cross_encoder *cross, wn_run *run, const wn_topics *topics, const char *corpus,
                        const char *out, const wn_rerank_run_options *options, wn_rerank_run_stats *stats,
                        wn_error *err) {
    rerank_job job = {.cross = cross, .run = run, .topics = topics,
                      .options = wn_rerank_run_options_default()};
    wn_partial_run partial = {0};
    wn_buf identity = {0};
    if (options)
        memcpy(&job.options, options, options->size < sizeof job.options ? options->size : sizeof job.options);
    if (!job.options.depth) return wn_fail(err, WN_ERR_ARGUMENT, "depth must be at least 1");
    if (!job.options.tag || !*job.options.tag || strpbrk(job.options.tag, " \t\r\n"))
        return wn_fail(err, WN_ERR_ARGUMENT, "a run's tag is one word");
    double begin = wn_now_ms();
    wn_status st = WN_OK;
    WN_TRY_GOTO(load_texts(&job, corpus, err));
    WN_TRY_GOTO(describe(&job, &identity, err));
    WN_TRY_GOTO(wn_partial_run_open(out, identity.data, &partial, err));
    WN_TRY_GOTO(rerank_all(&job, &partial, err));
    WN_TRY_GOTO(wn_partial_run_finish(&partial, out, err));
    job.stats.queries = wn_run_queries(run);
    job.stats.seconds = (wn_now_ms() - begin) / 1e3;
    if (stats) *stats = job.stats;
fail:
    wn_partial_run_close(&partial);
    wn_buf_release(&identity);
    for (size_t i = 0; i < job.ntexts; i++) wn_free(job.texts[i].text);
    wn_free(job.texts);
    return st;
}
