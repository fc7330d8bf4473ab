/* batcher.c -- takes single items out of waiting requests, fairly, and runs them in shared passes.
 *
 * Order. Two levels, clients and a client's requests, and at both the same rule: those that have had
 * nothing yet (fresh) and those that have had something (started) take turns. Within fresh the oldest
 * goes first. Started clients rotate; a client's started requests don't: the oldest has the turn, but every other one
 * goes to the one with the least left, if that is at most half of what the oldest has left. Rotating them would make
 * equal requests all end together, at the time of the last (64 clients of one address waited for 64 requests each);
 * without the half, 8 clients with like requests saw p99 at twice the median. Short goes before long,
 * and the oldest keeps its quarter of the turns whatever comes. So a request of one pair is in the next pass or the one after it, however much
 * waits; and a stream of small new requests can't starve a big one, which keeps half of the turns.
 * A plain rotation would make a new request wait for a whole round of all that wait.
 *
 * A pass holds items of one kind (model, role or prompt, length policy): the library's calls take one
 * of each. What does not match keeps its place, and the next pass starts from it.
 *
 * Size of a pass. Tokens are estimated from bytes: exact counts would cost a second tokenisation, and a
 * pass need not be exact. pass_ms bounds how long others wait: the batcher measures each model's rate
 * and fills no pass beyond what takes that long.
 *
 * Failure. The library refuses a whole call for one bad item (too long under the policy `error`). Then
 * the pass is run again request by request, and the one that fails again item by item, to name the culprit:
 * nobody's request fails because of a stranger's.
 *
 * Memory of results: a pass writes into the batcher's own arrays and copies under the lock. A caller
 * whose deadline comes during a pass still waits for that pass, because the models read its texts. */
#include "batcher.h"
#include "encoders.h"
#include "http_internal.h"
#include "metrics.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { BYTES_PER_TOKEN = 4, ITEM_TOKENS = 3, LEAST_PASS_TOKENS = 512 };

typedef struct task task;
typedef struct task_list {
    task *head, *tail;
} task_list;

/* One srv_work while it waits. */
struct task {
    srv_work *work;
    task *next;
    size_t taken;          /* items given to passes so far */
    size_t waiting_tokens; /* of items not taken */
    double entered, started;
    size_t order;          /* within the pass that is being filled */
    bool finished;
    wn_status status;
    wn_error err;
    pthread_cond_t wake;
};

typedef struct client client;
struct client {
    char *name;
    client *next;
    task_list fresh, started;
    size_t waiting_tokens;
    bool fresh_turn, oldest_turn;
};

typedef struct client_list {
    client *head, *tail;
} client_list;

typedef struct entry {
    task *owner;
    size_t item;
} entry;

struct srv_batcher {
    srv_batcher_options options;
    srv_metrics *metrics;
    pthread_mutex_t lock;
    pthread_cond_t arrived;
    pthread_t thread;
    bool stopping;
    client_list fresh, started;
    bool fresh_turn;
    srv_batcher_state waiting;
    /* Of the pass that is filled or runs; the batcher's thread alone. */
    entry *entries;
    wn_str *queries, *texts;
    wn_pair_score *scores;
    float *embeddings;
    wn_fit *fits;
    size_t n, cap, embeddings_cap, tasks_in_pass;
};

/* ---- Lists ---------------------------------------------------------------- */

static void task_append(task_list *list, task *t) {
    t->next = NULL;
    if (list->tail) list->tail->next = t;
    else list->head = t;
    list->tail = t;
}

static void task_remove(task_list *list, task *before, task *t) {
    if (before) before->next = t->next;
    else list->head = t->next;
    if (list->tail == t) list->tail = before;
    t->next = NULL;
}

static void client_append(client_list *list, client *c) {
    c->next = NULL;
    if (list->tail) list->tail->next = c;
    else list->head = c;
    list->tail = c;
}

static void client_remove(client_list *list, client *before, client *c) {
    if (before) before->next = c->next;
    else list->head = c->next;
    if (list->tail == c) list->tail = before;
    c->next = NULL;
}

static client *client_find(srv_batcher *b, const char *name) {
    for (client *c = b->fresh.head; c; c = c->next)
        if (!strcmp(c->name, name)) return c;
    for (client *c = b->started.head; c; c = c->next)
        if (!strcmp(c->name, name)) return c;
    return NULL;
}

static client *client_add(srv_batcher *b, const char *name) {
    client *c = calloc(1, sizeof *c);
    if (!c || !(c->name = strdup(name))) {
        free(c);
        return NULL;
    }
    c->fresh_turn = true;
    client_append(&b->fresh, c);
    return c;
}

static bool client_is_empty(const client *c) { return !c->fresh.head && !c->started.head; }

static void client_free(client *c) {
    free(c->name);
    free(c);
}

/* ---- Items ---------------------------------------------------------------- */

static wn_str query_of(const srv_work *work, size_t item) {
    return work->shared_query ? work->queries[0] : work->queries[item];
}

/* What an item costs, in tokens. Text behind the model's length still has to be tokenised, which is a hundredth
 * of reading it. */
static size_t item_tokens(const srv_work *work, size_t item) {
    size_t bytes = work->texts[item].len + (work->queries ? query_of(work, item).len : 0);
    size_t tokens = bytes / BYTES_PER_TOKEN + ITEM_TOKENS, most = work->encoder->info.max_length;
    if (most && tokens > most && work->policy != WN_LENGTH_WINDOWS) tokens = most + tokens / 128;
    return tokens;
}

static bool same_text(const char *a, const char *b) { return a == b || (a && b && !strcmp(a, b)); }

static bool same_kind(const srv_work *a, const srv_work *b) {
    return a->encoder == b->encoder && !a->queries == !b->queries && a->policy == b->policy &&
           (a->queries || (a->role == b->role && same_text(a->prompt_name, b->prompt_name)));
}

/* ---- Ending a request (under the lock) -------------------------------------- */

static void task_finish(task *t, wn_status status) {
    t->status = status;
    t->finished = true;
    pthread_cond_signal(&t->wake);
}

/* Takes its waiting items out of the counts; it is out of all lists. */
static void task_forget(srv_batcher *b, client *c, task *t) {
    b->waiting.requests--;
    b->waiting.items -= t->work->n - t->taken;
    b->waiting.tokens -= t->waiting_tokens;
    c->waiting_tokens -= t->waiting_tokens;
}

static void sweep_tasks(srv_batcher *b, client *c, task_list *list, double now) {
    task *before = NULL;
    for (task *t = list->head, *next; t; t = next) {
        const srv_work *w = t->work;
        bool gone = b->stopping || (w->gone && atomic_load(w->gone));
        bool late = w->deadline_ms > 0 && now >= w->deadline_ms;
        next = t->next;
        if (!gone && !late) {
            before = t;
            continue;
        }
        task_remove(list, before, t);
        task_forget(b, c, t);
        if (gone) srv_fail(&t->err, WN_ERR_CANCELLED, b->stopping ? "the server stops" : "the client is gone");
        task_finish(t, gone ? WN_ERR_CANCELLED : WN_OK);
    }
}

/* Drops what nobody waits for any more, before a pass is filled. */
static void sweep_clients(srv_batcher *b, client_list *list, double now) {
    client *before = NULL;
    for (client *c = list->head, *next; c; c = next) {
        next = c->next;
        sweep_tasks(b, c, &c->fresh, now);
        sweep_tasks(b, c, &c->started, now);
        if (client_is_empty(c)) {
            client_remove(list, before, c);
            client_free(c);
        } else {
            before = c;
        }
    }
}

/* ---- Filling a pass (under the lock) ---------------------------------------- */

static task *first_of_kind(const task_list *list, const srv_work *kind, task **before) {
    *before = NULL;
    for (task *t = list->head; t; *before = t, t = t->next)
        if (!kind || same_kind(kind, t->work)) return t;
    return NULL;
}

/* With the least left; of equal ones the oldest. */
static task *shortest_of_kind(const task_list *list, const srv_work *kind, task **before) {
    task *best = NULL, *prev = NULL;
    for (task *t = list->head; t; prev = t, t = t->next) {
        if ((kind && !same_kind(kind, t->work)) || (best && t->waiting_tokens >= best->waiting_tokens)) continue;
        best = t;
        *before = prev;
    }
    return best;
}

static task *next_in(const client *c, const task_list *list, const srv_work *kind, task **before) {
    task *before_shortest = NULL, *oldest = first_of_kind(list, kind, before);
    if (!oldest || list == &c->fresh || c->oldest_turn) return oldest;
    task *shortest = shortest_of_kind(list, kind, &before_shortest);
    if (2 * shortest->waiting_tokens > oldest->waiting_tokens) return oldest;
    *before = before_shortest;
    return shortest;
}

/* The client's next request whose item may join; *list and *before tell where it stands. */
static task *client_next(client *c, const srv_work *kind, task_list **list, task **before) {
    task_list *first = c->fresh_turn ? &c->fresh : &c->started, *second = c->fresh_turn ? &c->started : &c->fresh;
    task *t = next_in(c, *list = first, kind, before);
    return t ? t : next_in(c, *list = second, kind, before);
}

typedef struct choice {
    client_list *clients;
    client *before_owner, *owner;
    task_list *tasks;
    task *before, *chosen;
} choice;

static bool choose_from(client_list *clients, const srv_work *kind, choice *out) {
    client *before = NULL;
    for (client *c = clients->head; c; before = c, c = c->next) {
        out->chosen = client_next(c, kind, &out->tasks, &out->before);
        if (!out->chosen) continue;
        out->clients = clients;
        out->owner = c;
        out->before_owner = before;
        return true;
    }
    return false;
}

static bool choose(srv_batcher *b, const srv_work *kind, choice *out) {
    client_list *first = b->fresh_turn ? &b->fresh : &b->started, *second = b->fresh_turn ? &b->started : &b->fresh;
    return choose_from(first, kind, out) || choose_from(second, kind, out);
}

static void take(srv_batcher *b, const choice *at, size_t tokens, double now) {
    client *c = at->owner;
    task *t = at->chosen;
    if (!t->taken) t->started = now;
    if (t->order == SIZE_MAX) t->order = b->tasks_in_pass++;
    b->entries[b->n++] = (entry){t, t->taken++};
    t->waiting_tokens -= tokens;
    c->waiting_tokens -= tokens;
    b->waiting.tokens -= tokens;
    b->waiting.items--;
    bool was_started = at->tasks == &c->started, ends = t->taken == t->work->n;
    if (ends || !was_started) task_remove(at->tasks, at->before, t); /* a started one keeps its place */
    if (ends) b->waiting.requests--;
    else if (!was_started) task_append(&c->started, t);
    if (was_started) c->oldest_turn = !c->oldest_turn;
    c->fresh_turn = !c->fresh_turn;
    b->fresh_turn = !b->fresh_turn;
    client_remove(at->clients, at->before_owner, c);
    if (client_is_empty(c)) client_free(c);
    else client_append(&b->started, c);
}

static bool grow(srv_batcher *b) {
    size_t cap = b->cap ? 2 * b->cap : 64;
    entry *entries = realloc(b->entries, cap * sizeof *entries);
    if (entries) b->entries = entries;
    wn_str *queries = realloc(b->queries, cap * sizeof *queries);
    if (queries) b->queries = queries;
    wn_str *texts = realloc(b->texts, cap * sizeof *texts);
    if (texts) b->texts = texts;
    wn_pair_score *scores = realloc(b->scores, cap * sizeof *scores);
    if (scores) b->scores = scores;
    wn_fit *fits = realloc(b->fits, cap * sizeof *fits);
    if (fits) b->fits = fits;
    if (!entries || !queries || !texts || !scores || !fits) return false;
    b->cap = cap;
    return true;
}

static bool grow_embeddings(srv_batcher *b, size_t dim) {
    if ((b->n + 1) * dim <= b->embeddings_cap) return true;
    size_t cap = 2 * (b->n + 1) * dim;
    float *embeddings = realloc(b->embeddings, cap * sizeof *embeddings);
    if (!embeddings) return false;
    b->embeddings = embeddings;
    b->embeddings_cap = cap;
    return true;
}

static size_t budget_of(const srv_batcher *b, const srv_encoder *encoder) {
    size_t budget = b->options.max_batch_tokens;
    if (b->options.pass_ms > 0) { /* a model that has not been timed begins small */
        double timed = encoder->tokens_per_ms * b->options.pass_ms;
        if (timed < LEAST_PASS_TOKENS) timed = LEAST_PASS_TOKENS;
        if (timed < (double)budget) budget = (size_t)timed;
    }
    return budget;
}

/* The estimate of the pass's tokens; b->n items. */
static size_t fill(srv_batcher *b) {
    double now = srv_now_ms();
    size_t tokens = 0, budget = SIZE_MAX;
    choice at;
    b->n = b->tasks_in_pass = 0;
    sweep_clients(b, &b->fresh, now);
    sweep_clients(b, &b->started, now);
    for (const srv_work *kind = NULL; choose(b, kind, &at);) {
        srv_work *work = at.chosen->work;
        size_t cost = item_tokens(work, at.chosen->taken);
        if (!kind) budget = budget_of(b, work->encoder);
        if (b->n && tokens + cost > budget) break;
        if (b->n == b->cap && !grow(b)) break;
        if (!work->queries && !grow_embeddings(b, work->encoder->dim)) break;
        kind = work;
        tokens += cost;
        take(b, &at, cost, now);
    }
    return tokens;
}

/* ---- Running a pass (without the lock) -------------------------------------- */

/* A request's items side by side and in order: its query is then tokenised once. */
static int by_request(const void *x, const void *y) {
    const entry *a = x, *b = y;
    if (a->owner != b->owner) return a->owner->order < b->owner->order ? -1 : 1;
    return a->item < b->item ? -1 : a->item > b->item;
}

static wn_status run_range(srv_batcher *b, size_t begin, size_t n, wn_error *err) {
    const srv_work *kind = b->entries[begin].owner->work;
    srv_pass pass = {
        .queries = kind->queries ? b->queries + begin : NULL, .texts = b->texts + begin, .n = n,
        .role = kind->role, .prompt_name = kind->prompt_name, .policy = kind->policy,
        .scores = b->scores + begin,
        .embeddings = kind->queries ? NULL : b->embeddings + begin * kind->encoder->dim, .fits = b->fits + begin,
    };
    return kind->encoder->pass(kind->encoder, &pass, err);
}

/* One request of a failed pass by itself: its items again together, then each alone to find the culprit. */
static wn_status run_request(srv_batcher *b, size_t begin, size_t n, wn_error *err) {
    wn_error plain;
    wn_status st = run_range(b, begin, n, err);
    if (st == WN_OK || st == WN_ERR_MEMORY || st == WN_ERR_INTERNAL) return st;
    for (size_t i = begin; i < begin + n; i++) {
        st = run_range(b, i, 1, &plain);
        if (st != WN_OK)
            return b->entries[i].owner->work->n == 1
                       ? srv_fail(err, st, "%s", plain.message)
                       : srv_fail(err, st, "item %zu: %s", b->entries[i].item, plain.message);
    }
    return WN_OK;
}

static size_t range_end(const srv_batcher *b, size_t begin) {
    size_t end = begin + 1;
    while (end < b->n && b->entries[end].owner == b->entries[begin].owner) end++;
    return end;
}

/* Under the lock: results of a request's items to its buffers. */
static void deliver(srv_batcher *b, size_t begin, size_t end) {
    srv_work *work = b->entries[begin].owner->work;
    size_t first = b->entries[begin].item, n = end - begin, dim = work->encoder->dim;
    if (work->queries) {
        memcpy(work->scores + first, b->scores + begin, n * sizeof *work->scores);
    } else {
        memcpy(work->embeddings + first * dim, b->embeddings + begin * dim, n * dim * sizeof(float));
        if (work->fits) memcpy(work->fits + first, b->fits + begin, n * sizeof *work->fits);
    }
    for (size_t i = first; work->done && i < first + n; i++) work->done[i] = true;
    work->ndone = first + n;
}

/* Under the lock: a request that failed leaves the list where its other items wait. */
static void withdraw(srv_batcher *b, task *failed) {
    client_list *lists[2] = {&b->fresh, &b->started};
    for (int l = 0; l < 2; l++)
        for (client *c = lists[l]->head, *before_c = NULL; c; before_c = c, c = c->next) {
            task *before = NULL;
            for (task *t = c->started.head; t; before = t, t = t->next) {
                if (t != failed) continue;
                task_remove(&c->started, before, t);
                task_forget(b, c, t);
                if (client_is_empty(c)) {
                    client_remove(lists[l], before_c, c);
                    client_free(c);
                }
                return;
            }
        }
}

static void finish_pass(srv_batcher *b, double ms) {
    pthread_mutex_lock(&b->lock);
    for (size_t begin = 0, end; begin < b->n; begin = end) {
        task *t = b->entries[begin].owner;
        end = range_end(b, begin);
        t->order = SIZE_MAX;
        t->work->compute_ms += ms;
        if (t->status != WN_OK) {
            if (t->taken < t->work->n) withdraw(b, t);
            task_finish(t, t->status);
            continue;
        }
        deliver(b, begin, end);
        if (t->work->ndone == t->work->n) task_finish(t, WN_OK);
    }
    pthread_mutex_unlock(&b->lock);
}

/* Request by request after the pass failed as a whole. Their callers read status and err only once finished. */
static void run_apart(srv_batcher *b) {
    for (size_t begin = 0, end; begin < b->n; begin = end) {
        task *t = b->entries[begin].owner;
        end = range_end(b, begin);
        t->status = run_request(b, begin, end - begin, &t->err);
    }
}

static void run_pass(srv_batcher *b, size_t tokens) {
    srv_encoder *encoder = b->entries[0].owner->work->encoder;
    qsort(b->entries, b->n, sizeof *b->entries, by_request);
    for (size_t i = 0; i < b->n; i++) {
        const srv_work *work = b->entries[i].owner->work;
        if (work->queries) b->queries[i] = query_of(work, b->entries[i].item);
        b->texts[i] = work->texts[b->entries[i].item];
    }
    double start = srv_now_ms();
    wn_error err;
    wn_status st = run_range(b, 0, b->n, &err);
    double ms = srv_now_ms() - start;
    if (b->metrics) {
        srv_metrics_pass(b->metrics, b->n, tokens);
        srv_metrics_time(b->metrics, SRV_STAGE_PASS, ms);
    }
    if (st != WN_OK) {
        run_apart(b);
        finish_pass(b, srv_now_ms() - start);
        return;
    }
    /* Small passes tell little of the rate: they leave workers idle. */
    if (tokens >= LEAST_PASS_TOKENS / 2 && ms > 0 && !encoder->from_cache) {
        double rate = (double)tokens / ms;
        encoder->tokens_per_ms = encoder->tokens_per_ms > 0 ? 0.8 * encoder->tokens_per_ms + 0.2 * rate : rate;
    }
    finish_pass(b, ms);
}

static void *batcher_main(void *ctx) {
    srv_batcher *b = ctx;
    pthread_mutex_lock(&b->lock);
    for (;;) {
        size_t tokens = fill(b);
        if (b->n) {
            pthread_mutex_unlock(&b->lock);
            run_pass(b, tokens);
            pthread_mutex_lock(&b->lock);
        } else if (b->waiting.requests) { /* no memory to fill a pass: not a reason to spin */
            pthread_mutex_unlock(&b->lock);
            struct timespec pause = {0, 10 * 1000 * 1000};
            nanosleep(&pause, NULL);
            pthread_mutex_lock(&b->lock);
        } else if (b->stopping) {
            break;
        } else {
            pthread_cond_wait(&b->arrived, &b->lock);
        }
    }
    pthread_mutex_unlock(&b->lock);
    return NULL;
}

/* ---- The callers' side ------------------------------------------------------ */

/* One client may not fill the whole queue: a quarter is left for others. */
static bool queue_is_full(const srv_batcher *b, const client *c, size_t tokens) {
    size_t most = b->options.max_queue_tokens;
    if (!b->waiting.requests) return false; /* an over-large request is taken when nothing else waits */
    if (b->waiting.tokens + tokens > most) return true;
    return c && c->waiting_tokens + tokens > most - most / 4;
}

static wn_status enter(srv_batcher *b, task *t, wn_error *err) {
    srv_work *work = t->work;
    const char *name = work->client ? work->client : "";
    client *c = client_find(b, name);
    if (b->stopping) return srv_fail(err, WN_ERR_CANCELLED, "the server stops");
    if (queue_is_full(b, c, t->waiting_tokens)) {
        if (b->metrics) srv_metrics_add(b->metrics, SRV_COUNT_BUSY_QUEUE, 1);
        return srv_fail(err, WN_ERR_BUSY, "%zu tokens wait already (of %zu); try again later", b->waiting.tokens,
                        b->options.max_queue_tokens);
    }
    if (!c && !(c = client_add(b, name))) return srv_fail(err, WN_ERR_MEMORY, "out of memory");
    task_append(&c->fresh, t);
    c->waiting_tokens += t->waiting_tokens;
    b->waiting.tokens += t->waiting_tokens;
    b->waiting.items += work->n;
    b->waiting.requests++;
    pthread_cond_signal(&b->arrived);
    return WN_OK;
}

/* Exact: the library's fits, and for pairs the query's own tokens. On the caller's thread. */
static uint64_t count_tokens(const srv_work *work, const wn_fit *fits) {
    const wn_tokenizer *tokenizer = work->encoder->model ? wn_model_tokenizer(work->encoder->model) : NULL;
    if (!tokenizer) return 0;
    uint64_t sum = 0, query = 0;
    size_t specials = wn_tokenizer_special_count(tokenizer, work->queries != NULL);
    wn_encoding *encoding = NULL;
    if (work->queries && wn_encoding_create(&encoding, NULL) != WN_OK) return 0;
    for (size_t i = 0; i < work->ndone; i++) {
        const wn_fit *fit = work->queries ? &work->scores[i].fit : &fits[i];
        if (work->queries && (i == 0 || !work->shared_query))
            query = wn_tokenizer_encode_raw(tokenizer, query_of(work, i), encoding, NULL) == WN_OK
                        ? wn_encoding_length(encoding) : 0;
        sum += specials + fit->tokens_seen + (query > fit->query_dropped ? query - fit->query_dropped : 0);
    }
    wn_encoding_free(encoding);
    return sum;
}

static void account(srv_batcher *b, srv_work *work, const wn_fit *fits, wn_status status) {
    work->tokens = count_tokens(work, fits);
    if (b->metrics) {
        srv_metrics_add(b->metrics, SRV_COUNT_TOKENS, work->tokens);
        srv_metrics_add(b->metrics, work->queries ? SRV_COUNT_PAIRS : SRV_COUNT_TEXTS, work->ndone);
        srv_metrics_time(b->metrics, SRV_STAGE_QUEUE, work->queue_ms);
        srv_metrics_time(b->metrics, SRV_STAGE_COMPUTE, work->compute_ms);
        if (status == WN_OK && work->ndone < work->n) srv_metrics_add(b->metrics, SRV_COUNT_LATE, 1);
    }
    if (srv_usage_current) {
        srv_usage_current->queue_ms += work->queue_ms;
        srv_usage_current->compute_ms += work->compute_ms;
        srv_usage_current->tokens += work->tokens;
        srv_usage_current->items += work->ndone;
    }
}

static wn_status wait_for(srv_batcher *b, task *t, wn_error *err) {
    pthread_mutex_lock(&b->lock);
    wn_status st = enter(b, t, err);
    if (st == WN_OK) {
        while (!t->finished) pthread_cond_wait(&t->wake, &b->lock);
        if ((st = t->status) != WN_OK && err) *err = t->err;
        double left = srv_now_ms();
        t->work->queue_ms = left - t->entered - t->work->compute_ms;
        if (t->work->queue_ms < 0) t->work->queue_ms = 0;
    }
    pthread_mutex_unlock(&b->lock);
    return st;
}

wn_status srv_batcher_run(srv_batcher *b, srv_work *work, wn_error *err) {
    task t = {.work = work, .entered = srv_now_ms(), .order = SIZE_MAX};
    wn_fit *fits = NULL;
    work->ndone = 0;
    work->tokens = 0;
    work->queue_ms = work->compute_ms = 0;
    if (work->done) memset(work->done, 0, work->n * sizeof *work->done);
    if (!work->n) return WN_OK;
    if (!work->queries == !work->encoder->dim)
        return srv_fail(err, WN_ERR_MISMATCH, "%s is a %s", work->encoder->name,
                        work->encoder->dim ? "bi-encoder: it scores no pairs" : "cross-encoder: it has no embeddings");
    if (!work->queries && !work->fits) { /* tokens are counted from fits */
        fits = work->fits = calloc(work->n, sizeof *fits);
        if (!fits) return srv_fail(err, WN_ERR_MEMORY, "out of memory");
    }
    for (size_t i = 0; i < work->n; i++) t.waiting_tokens += item_tokens(work, i);
    pthread_cond_init(&t.wake, NULL);
    wn_status st = wait_for(b, &t, err);
    pthread_cond_destroy(&t.wake);
    if (st != WN_ERR_BUSY) account(b, work, work->fits, st);
    if (fits) work->fits = NULL;
    free(fits);
    return st;
}

srv_batcher_state srv_batcher_look(srv_batcher *b) {
    pthread_mutex_lock(&b->lock);
    srv_batcher_state state = b->waiting;
    pthread_mutex_unlock(&b->lock);
    return state;
}

wn_status srv_batcher_create(const srv_batcher_options *options, srv_metrics *metrics, srv_batcher **out,
                             wn_error *err) {
    srv_batcher *b = calloc(1, sizeof *b);
    if (!b) return srv_fail(err, WN_ERR_MEMORY, "out of memory");
    b->options = *options;
    b->metrics = metrics;
    pthread_mutex_init(&b->lock, NULL);
    pthread_cond_init(&b->arrived, NULL);
    b->fresh_turn = true;
    int e = pthread_create(&b->thread, NULL, batcher_main, b);
    if (e) {
        pthread_mutex_destroy(&b->lock);
        pthread_cond_destroy(&b->arrived);
        free(b);
        return srv_fail(err, WN_ERR_IO, "starting a thread: %s", strerror(e));
    }
    *out = b;
    return WN_OK;
}

void srv_batcher_free(srv_batcher *b) {
    if (!b) return;
    pthread_mutex_lock(&b->lock);
    b->stopping = true;
    pthread_cond_signal(&b->arrived);
    pthread_mutex_unlock(&b->lock);
    pthread_join(b->thread, NULL);
    pthread_mutex_destroy(&b->lock);
    pthread_cond_destroy(&b->arrived);
    free(b->entries);
    free(b->queries);
    free(b->texts);
    free(b->scores);
    free(b->embeddings);
    free(b->fits);
    free(b);
}
