/* test_score_cache.c -- a score from the cache is the model's, bit for bit, or it is no score: hits and misses, what
 * makes another key, deadlines, the bound, damage at every place, many processes, allocation failures. */
#include "study_fixture.h"

#include "core/error.h"
#include "model/model_identity.h"
#include "pipeline/score_store.h"
#include <sqlite3.h>
#include <sys/wait.h>

static study_fixture f;
static int open_fixture(void **state) {
    study_fixture_open(&f, true);
    return 0;
}
static int close_fixture(void **state) {
    study_fixture_close(&f);
    return 0;
}

static wn_str str(const char *s) { return (wn_str){s, strlen(s)}; }

static char *cache_path(void) {
    static char path[160];
    static int n;
    snprintf(path, sizeof path, "%s/cache%d", f.dir.dir, n++);
    return path;
}

/* ---- The model behind it, counted ------------------------------------------------------ */

typedef struct counted {
    wn_scorers model;
    size_t calls, pairs, stop_after; /* stop_after: pairs done under a deadline */
} counted;

static wn_status counted_score(void *ctx, wn_str query, const wn_str *passages, size_t n, wn_length_policy policy,
                               size_t batch_size, double time_left_ms, wn_pair_score *out, size_t *done, wn_error *err) {
    counted *c = ctx;
    size_t most = time_left_ms > 0 && c->stop_after < n ? c->stop_after : n, ignored;
    c->calls++;
    c->pairs += most;
    *done = most;
    return most ? c->model.score(c->model.score_ctx, query, passages, most, policy, batch_size, 0, out, &ignored, err) : WN_OK;
}

/* Scores without a model: a function of the texts. */
static wn_pair_score fake_score(wn_str query, wn_str passage) {
    wn_hash q = wn_hash_bytes(query.data, query.len), p = wn_hash_bytes(passage.data, passage.len);
    uint32_t bits;
    memcpy(&bits, p.bytes, 4);
    bits ^= q.bytes[0];
    wn_pair_score s = {.logit = (float)bits / 1e8f, .score = (float)q.bytes[1] / 255,
                       .fit = {.tokens_seen = bits % 100, .tokens_dropped = bits % 7, .window_end = (uint32_t)passage.len}};
    return s;
}

static wn_status fake(void *ctx, wn_str query, const wn_str *passages, size_t n, wn_length_policy policy, size_t batch_size,
                      double time_left_ms, wn_pair_score *out, size_t *done, wn_error *err) {
    counted *c = ctx;
    if (c) c->calls++, c->pairs += n;
    for (size_t i = 0; i < n; i++) out[i] = fake_score(query, passages[i]);
    *done = n;
    return WN_OK;
}

static wn_scorers counted_scorers(counted *c) {
    c->model = wn_scorers_of(f.bi, f.cross);
    wn_scorers s = c->model;
    s.score_ctx = c;
    s.score = counted_score;
    return s;
}

static wn_scorers fake_scorers(counted *c) {
    return (wn_scorers){.size = sizeof(wn_scorers), .reranker = f.cross_model, .score_ctx = c, .score = fake};
}

typedef struct cached {
    wn_score_cache *cache;
    wn_cached_scorers *owner;
    wn_scorers calls;
} cached;

static cached open_cached(const char *path, const wn_scorers *inner, uint64_t max_bytes) {
    cached c = {0};
    wn_error err;
    wn_score_cache_options options = wn_score_cache_options_default();
    if (max_bytes) options.max_bytes = max_bytes;
    fixture_ok(wn_score_cache_open(path, &options, &c.cache, &err), &err);
    fixture_ok(wn_cached_scorers_create(c.cache, inner, &c.owner, &err), &err);
    c.calls = wn_cached_scorers_calls(c.owner);
    return c;
}

static void close_cached(cached *c) {
    wn_cached_scorers_free(c->owner);
    wn_score_cache_close(c->cache);
}

static wn_status ask(const wn_scorers *s, const char *query, const wn_str *passages, size_t n, wn_length_policy policy,
                     double left, wn_pair_score *out, size_t *done, wn_error *err) {
    return s->score(s->score_ctx, str(query), passages, n, policy, 64, left, out, done, err);
}

static void ask_all(const wn_scorers *s, const char *query, const wn_str *passages, size_t n, wn_pair_score *out) {
    wn_error err;
    size_t done = 0;
    fixture_ok(ask(s, query, passages, n, WN_LENGTH_TRUNCATE, 0, out, &done, &err), &err);
    assert_int_equal(done, n);
}

static void passages_of(wn_str *out) {
    for (size_t i = 0; i < FIXTURE_DOCS; i++) out[i] = str(FIXTURE_TEXTS[i]);
}

/* ---- Hits ------------------------------------------------------------------------------ */

static void hits_are_the_models_bits(void **state) {
    counted c = {0};
    wn_scorers inner = counted_scorers(&c);
    wn_str passages[FIXTURE_DOCS];
    wn_pair_score want[FIXTURE_DOCS], got[FIXTURE_DOCS];
    char *path = cache_path();
    passages_of(passages);
    ask_all(&c.model, "low rank adapters", passages, FIXTURE_DOCS, want);
    for (int opened = 0; opened < 2; opened++) {
        cached k = open_cached(path, &inner, 0);
        for (int again = 0; again < 2; again++) {
            memset(got, 0x55, sizeof got);
            ask_all(&k.calls, "low rank adapters", passages, FIXTURE_DOCS, got);
            assert_memory_equal(got, want, sizeof want);
        }
        wn_score_cache_info info = wn_score_cache_describe(k.cache);
        assert_int_equal(info.hits, opened ? 2 * FIXTURE_DOCS : FIXTURE_DOCS);
        assert_int_equal(info.stored, opened ? 0 : FIXTURE_DOCS);
        assert_int_equal(info.misses, info.stored);
        close_cached(&k);
    }
    assert_int_equal(c.pairs, FIXTURE_DOCS);
}

static void search_over_a_cache_gives_the_same_answer(void **state) {
    counted c = {0};
    wn_scorers inner = counted_scorers(&c);
    cached k = open_cached(cache_path(), &inner, 0);
    wn_searcher *searcher = NULL;
    wn_error err;
    size_t known = wn_test_emulated() ? 2 : 5, all = wn_test_emulated() ? 6 : 20;
    fixture_ok(wn_searcher_create_with(f.index, &k.calls, &searcher, &err), &err);
    for (int round = 0; round < 3; round++) {
        wn_answer *want = NULL, *got = NULL;
        wn_search_options options = wn_search_options_default();
        options.k = known; /* a search never takes fewer candidates than it answers */
        options.first_stage_k = round == 0 ? known : all; /* a part of them known, then all */
        fixture_ok(wn_search(f.searcher, str("memory of a token"), &options, &want, &err), &err);
        fixture_ok(wn_search(searcher, str("memory of a token"), &options, &got, &err), &err);
        assert_int_equal(wn_answer_count(got), wn_answer_count(want));
        for (size_t i = 0; i < wn_answer_count(want); i++) {
            wn_result a = *wn_answer_result(want, i), b = *wn_answer_result(got, i);
            assert_int_equal(a.passage->id, b.passage->id);
            a.passage = b.passage = NULL;
            assert_memory_equal(&a, &b, sizeof a);
        }
        wn_answer_free(want);
        wn_answer_free(got);
    }
    assert_int_equal(c.calls, 2);
    assert_in_range(c.pairs, known + 1, all); /* the documents share passages: some are known twice */
    wn_searcher_free(searcher);
    close_cached(&k);
}

/* Texts of equal concatenation, another policy, another model: nothing may answer for another. */
static void other_pairs_policies_and_models_miss(void **state) {
    counted c = {0};
    wn_scorers inner = fake_scorers(&c);
    cached k = open_cached(cache_path(), &inner, 0);
    wn_pair_score out[2];
    wn_error err;
    size_t done;
    static const char *const pairs[][2] = {{"ab", "c"}, {"a", "bc"}, {"", "abc"}, {"abc", ""}, {"c", "ab"}};
    for (size_t i = 0; i < 5; i++) {
        wn_str p = str(pairs[i][1]);
        ask_all(&k.calls, pairs[i][0], &p, 1, out);
        wn_pair_score want = fake_score(str(pairs[i][0]), p);
        assert_memory_equal(out, &want, sizeof want);
    }
    assert_int_equal(c.pairs, 5);
    wn_str nul[2] = {{"x\0y", 3}, {"x\0z", 3}};
    ask_all(&k.calls, "q", nul, 2, out);
    fixture_ok(ask(&k.calls, "q", nul, 2, WN_LENGTH_WINDOWS, 0, out, &done, &err), &err);
    assert_int_equal(c.pairs, 9);
    fixture_ok(ask(&k.calls, "q", nul, 2, WN_LENGTH_ERROR, 0, out, &done, &err), &err);
    fixture_ok(ask(&k.calls, "q", nul, 2, WN_LENGTH_ERROR, 0, out, &done, &err), &err);
    assert_int_equal(c.pairs, 13);
    wn_model *shorter = NULL;
    wn_model_options options = wn_model_options_default();
    options.max_length = 64;
    fixture_ok(wn_model_open(FIXTURE_RERANKER, &options, &shorter, &err), &err);
    wn_scorers other = inner;
    wn_cached_scorers *owner = NULL;
    other.reranker = shorter;
    fixture_ok(wn_cached_scorers_create(k.cache, &other, &owner, &err), &err);
    wn_scorers calls = wn_cached_scorers_calls(owner);
    ask_all(&calls, "q", nul, 2, out);
    assert_int_equal(c.pairs, 15);
    wn_cached_scorers_free(owner);
    wn_model_close(shorter);
    wn_hash a, b;
    fixture_ok(wn_model_identity(f.cross_model, &a, &err), &err);
    fixture_ok(wn_model_identity(f.bi_model, &b, &err), &err);
    assert_false(wn_hash_equal(&a, &b));
    close_cached(&k);
}

/* done counts a prefix: pairs known from before, and those that were computed in time. */
static void deadline_gives_known_pairs_and_the_first_unknown(void **state) {
    counted c = {0};
    wn_scorers inner = counted_scorers(&c);
    cached k = open_cached(cache_path(), &inner, 0);
    wn_str passages[FIXTURE_DOCS], some[3];
    wn_pair_score want[FIXTURE_DOCS], got[FIXTURE_DOCS];
    wn_error err;
    size_t done = 99;
    passages_of(passages);
    ask_all(&c.model, "attention", passages, FIXTURE_DOCS, want);
    some[0] = passages[0], some[1] = passages[2], some[2] = passages[5];
    ask_all(&k.calls, "attention", some, 3, got);
    c.stop_after = 0; /* no time for any: 0 is known, 1 is not */
    fixture_ok(ask(&k.calls, "attention", passages, FIXTURE_DOCS, WN_LENGTH_TRUNCATE, 1000, got, &done, &err), &err);
    assert_int_equal(done, 1);
    c.stop_after = 3; /* 1, 3, 4 are computed, 5 is known, 6 is left */
    fixture_ok(ask(&k.calls, "attention", passages, FIXTURE_DOCS, WN_LENGTH_TRUNCATE, 1000, got, &done, &err), &err);
    assert_int_equal(done, 6);
    assert_memory_equal(got, want, 6 * sizeof *want);
    c.stop_after = 100;
    fixture_ok(ask(&k.calls, "attention", passages, FIXTURE_DOCS, WN_LENGTH_TRUNCATE, 1000, got, &done, &err), &err);
    assert_int_equal(done, FIXTURE_DOCS);
    assert_memory_equal(got, want, sizeof want);
    assert_int_equal(c.pairs, FIXTURE_DOCS); /* each was computed once */
    close_cached(&k);
}

/* Each pair with its own query, as the server's passes have them. */
static void pairs_of_many_queries_are_the_models_bits(void **state) {
    static const char *const queries[] = {"memory", "memory", "attention", "b-tree", "memory", "attention"};
    enum { n = sizeof queries / sizeof *queries };
    wn_scorers none = fake_scorers(NULL);
    cached k = open_cached(cache_path(), &none, 0);
    wn_str q[n], d[n];
    wn_pair_score want[n], got[n];
    wn_error err;
    for (size_t i = 0; i < n; i++) q[i] = str(queries[i]), d[i] = str(FIXTURE_TEXTS[i * 2]);
    fixture_ok(wn_cross_encoder_score_pairs(f.cross, q, d, n, 0, WN_LENGTH_TRUNCATE, want, &err), &err);
    /* three of them, then all in one call, then all known */
    static const size_t asked[] = {3, n, n};
    for (size_t round = 0; round < 3; round++) {
        memset(got, 0x55, sizeof got);
        fixture_ok(wn_score_cache_pairs(k.cache, f.cross, q, d, asked[round], 0, WN_LENGTH_TRUNCATE, got, &err), &err);
        assert_memory_equal(got, want, asked[round] * sizeof *want);
    }
    wn_score_cache_info info = wn_score_cache_describe(k.cache);
    assert_int_equal(info.misses, n);
    assert_int_equal(info.hits, 3 + n);
    /* the same keys as a searcher's: one query at a time */
    wn_scorers model = wn_scorers_of(NULL, f.cross);
    wn_cached_scorers *owner = NULL;
    fixture_ok(wn_cached_scorers_create(k.cache, &model, &owner, &err), &err);
    wn_scorers calls = wn_cached_scorers_calls(owner);
    ask_all(&calls, queries[0], d, 2, got);
    assert_memory_equal(got, want, 2 * sizeof *want);
    assert_int_equal(wn_score_cache_describe(k.cache).misses, n);
    wn_cached_scorers_free(owner);
    close_cached(&k);
}

/* ---- The bound -------------------------------------------------------------------------- */

static off_t file_size(const char *path) {
    struct stat info;
    return stat(path, &info) == 0 ? info.st_size : -1;
}

static void file_stays_below_its_bound_and_forgets_the_oldest(void **state) {
    enum { bound = 1 << 20, batch = 50, most = 600 };
    size_t batches = wn_test_emulated() ? 200 : most;
    counted c = {0};
    wn_scorers inner = fake_scorers(&c);
    char *path = cache_path();
    cached k = open_cached(path, &inner, bound);
    static char text[most][batch][16];
    static wn_str passages[most][batch];
    wn_pair_score out[batch];
    for (size_t b = 0; b < batches; b++) {
        for (size_t i = 0; i < batch; i++) {
            snprintf(text[b][i], sizeof text[b][i], "%zu", b * batch + i);
            passages[b][i] = str(text[b][i]);
        }
        ask_all(&k.calls, "q", passages[b], batch, out);
        ask_all(&k.calls, "q", passages[0], batch, out); /* in use all the time */
    }
    wn_score_cache_info info = wn_score_cache_describe(k.cache);
    assert_true(info.evicted > 0);
    assert_int_equal(info.unsaved, 0);
    assert_int_equal(info.misses, batches * batch); /* the first was never forgotten, or it had been asked anew */
    uint64_t hits = info.hits;
    ask_all(&k.calls, "q", passages[batches - 1], batch, out);
    ask_all(&k.calls, "q", passages[batches - 20], batch, out);
    assert_int_equal(wn_score_cache_describe(k.cache).hits - hits, 2 * batch);
    ask_all(&k.calls, "q", passages[1], batch, out);
    assert_int_equal(wn_score_cache_describe(k.cache).hits - hits, 2 * batch);
    close_cached(&k);
    print_message("%zu pairs, %llu kept in %lld bytes\n", batch * batches,
                  (unsigned long long)(info.stored - info.evicted), (long long)file_size(path));
    assert_true(file_size(path) <= bound);
    assert_true(info.stored - info.evicted > bound / 200);
}

/* ---- Damage ----------------------------------------------------------------------------- */

static void make_cache(const char *path, const wn_str *passages, size_t n) {
    wn_scorers inner = fake_scorers(NULL);
    wn_pair_score out[FIXTURE_DOCS];
    cached k = open_cached(path, &inner, 0);
    ask_all(&k.calls, "query", passages, n, out);
    close_cached(&k);
}

static void write_file(const char *path, const char *bytes, size_t n) {
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_int_equal(fwrite(bytes, 1, n, file), n);
    fclose(file);
}

static void forget(const char *path) {
    char other[200];
    static const char *const ends[] = {"", "-wal", "-shm"};
    for (int i = 0; i < 3; i++) {
        snprintf(other, sizeof other, "%s%s", path, ends[i]);
        unlink(other);
    }
}

/* Right scores, or a refusal that names the file; which of them. */
static bool answers_rightly(const char *path, const wn_str *passages, size_t n, uint64_t *damaged) {
    wn_scorers inner = fake_scorers(NULL);
    wn_score_cache *cache = NULL;
    wn_cached_scorers *owner = NULL;
    wn_error err = {0};
    wn_pair_score out[FIXTURE_DOCS];
    wn_status st = wn_score_cache_open(path, NULL, &cache, &err);
    if (st == WN_OK) st = wn_cached_scorers_create(cache, &inner, &owner, &err);
    for (int round = 0; st == WN_OK && round < 2; round++) {
        wn_scorers calls = wn_cached_scorers_calls(owner);
        size_t done = 0;
        memset(out, 0x55, sizeof out);
        st = ask(&calls, "query", passages, n, WN_LENGTH_TRUNCATE, 0, out, &done, &err);
        for (size_t i = 0; st == WN_OK && i < n; i++) {
            wn_pair_score want = fake_score(str("query"), passages[i]);
            assert_memory_equal(&out[i], &want, sizeof want);
        }
    }
    if (cache) *damaged += wn_score_cache_describe(cache).damaged;
    wn_cached_scorers_free(owner);
    wn_score_cache_close(cache);
    if (st == WN_OK) return true;
    assert_true(st == WN_ERR_FORMAT || st == WN_ERR_IO);
    assert_non_null(strstr(err.message, path));
    return false;
}

static void damage_anywhere_never_gives_a_wrong_score(void **state) {
    char *path = cache_path();
    wn_str passages[FIXTURE_DOCS];
    static char bytes[1 << 16];
    passages_of(passages);
    make_cache(path, passages, FIXTURE_DOCS);
    FILE *file = fopen(path, "r");
    size_t size = fread(bytes, 1, sizeof bytes, file), step = wn_test_emulated() ? 97 : wn_test_quick() ? 23 : 5;
    fclose(file);
    size_t tried = 0, refused = 0;
    uint64_t damaged = 0;
    for (size_t at = 0; at < size; at += at < 200 && !wn_test_emulated() ? 1 : step, tried++) {
        forget(path);
        bytes[at] ^= (char)(1 << at % 8);
        write_file(path, bytes, size);
        refused += !answers_rightly(path, passages, FIXTURE_DOCS, &damaged);
        bytes[at] ^= (char)(1 << at % 8);
    }
    for (size_t cut = 1; cut < size; cut += 777, tried++) { /* empty: a new cache */
        forget(path);
        write_file(path, bytes, cut);
        refused += !answers_rightly(path, passages, FIXTURE_DOCS, &damaged);
    }
    print_message("%zu damaged files: %zu refused, %llu entries failed their checksum\n", tried, refused,
                  (unsigned long long)damaged);
    assert_true(refused > 0 && damaged > 0);
}

static void other_files_are_refused_and_left_alone(void **state) {
    wn_score_cache *cache = NULL;
    wn_error err;
    char *path = cache_path();
    write_file(path, "not a database, but somebody's text, and it should stay as it is\n", 65);
    assert_int_equal(wn_score_cache_open(path, NULL, &cache, &err), WN_ERR_FORMAT);
    assert_non_null(strstr(err.message, "not a score cache"));
    assert_int_equal(file_size(path), 65);
    off_t before = file_size(f.index_path);
    wn_hash hash = {0}, after = {0};
    static char bytes[1 << 20];
    for (int i = 0; i < 2; i++) {
        FILE *file = fopen(f.index_path, "r");
        size_t n = fread(bytes, 1, sizeof bytes, file);
        fclose(file);
        *(i ? &after : &hash) = wn_hash_bytes(bytes, n);
        if (!i) assert_int_equal(wn_score_cache_open(f.index_path, NULL, &cache, &err), WN_ERR_FORMAT);
    }
    assert_int_equal(file_size(f.index_path), before);
    assert_true(wn_hash_equal(&hash, &after));
    wn_score_cache_options options = wn_score_cache_options_default();
    options.max_bytes = 100;
    assert_int_equal(wn_score_cache_open(path, &options, &cache, &err), WN_ERR_ARGUMENT);
    assert_int_equal(wn_score_cache_open("/nowhere/at/all", NULL, &cache, &err), WN_ERR_IO);
}

/* ---- Together ----------------------------------------------------------------------------- */

static int child(const char *path, unsigned seed) {
    wn_scorers inner = fake_scorers(NULL);
    cached k = open_cached(path, &inner, 1 << 20);
    for (int call = 0; call < 60; call++) {
        char text[20][16];
        wn_str passages[20];
        wn_pair_score out[20];
        for (size_t i = 0; i < 20; i++) {
            seed = seed * 1664525u + 1013904223u;
            snprintf(text[i], sizeof text[i], "%u", seed >> 20);
            passages[i] = str(text[i]);
        }
        size_t done = 0;
        if (ask(&k.calls, "q", passages, 20, WN_LENGTH_TRUNCATE, 0, out, &done, NULL) != WN_OK || done != 20) return 1;
        for (size_t i = 0; i < 20; i++) {
            wn_pair_score want = fake_score(str("q"), passages[i]);
            if (memcmp(&out[i], &want, sizeof want) != 0) return 2;
        }
    }
    close_cached(&k);
    return 0;
}

static void processes_share_a_file(void **state) {
    if (wn_test_emulated()) skip(); /* write-ahead logs share memory between processes: not all emulators do */
    char *path = cache_path();
    enum { children = 4 };
    pid_t pids[children];
    for (int i = 0; i < children; i++) {
        pids[i] = fork();
        if (pids[i] == 0) _exit(child(path, (unsigned)i));
    }
    for (int i = 0; i < children; i++) {
        int status = -1;
        assert_int_equal(waitpid(pids[i], &status, 0), pids[i]);
        assert_true(WIFEXITED(status));
        assert_int_equal(WEXITSTATUS(status), 0);
    }
    wn_scorers inner = fake_scorers(NULL);
    cached k = open_cached(path, &inner, 1 << 20);
    close_cached(&k);
}

static void writer_that_never_ends_costs_storing_alone(void **state) {
    char *path = cache_path();
    wn_scorers inner = fake_scorers(NULL);
    cached k = open_cached(path, &inner, 0);
    sqlite3 *other = NULL;
    assert_int_equal(sqlite3_open(path, &other), SQLITE_OK);
    assert_int_equal(sqlite3_exec(other, "BEGIN IMMEDIATE", NULL, NULL, NULL), SQLITE_OK);
    wn_str passage = str("passage");
    wn_pair_score out, want = fake_score(str("q"), passage);
    ask_all(&k.calls, "q", &passage, 1, &out);
    assert_memory_equal(&out, &want, sizeof want);
    assert_int_equal(wn_score_cache_describe(k.cache).unsaved, 1);
    sqlite3_close(other);
    ask_all(&k.calls, "q", &passage, 1, &out);
    assert_int_equal(wn_score_cache_describe(k.cache).stored, 1);
    close_cached(&k);
}

static void failed_allocations_are_reported(void **state) {
    wn_str passages[FIXTURE_DOCS];
    passages_of(passages);
    size_t failures = 0;
    for (uint64_t n = 1;; n++) {
        wn_scorers inner = fake_scorers(NULL);
        wn_score_cache *cache = NULL;
        wn_cached_scorers *owner = NULL;
        wn_pair_score out[FIXTURE_DOCS];
        size_t done;
        wn_error err;
        char *path = cache_path();
        wn_memory_fail_at(n, false);
        wn_status st = wn_score_cache_open(path, NULL, &cache, &err);
        if (st == WN_OK) st = wn_cached_scorers_create(cache, &inner, &owner, &err);
        if (st == WN_OK) {
            wn_scorers calls = wn_cached_scorers_calls(owner);
            st = ask(&calls, "q", passages, FIXTURE_DOCS, WN_LENGTH_TRUNCATE, 0, out, &done, &err);
        }
        wn_memory_fail_at(0, false);
        wn_cached_scorers_free(owner);
        wn_score_cache_close(cache);
        forget(path);
        if (st == WN_OK) break;
        assert_int_equal(st, WN_ERR_MEMORY);
        failures++;
    }
    assert_true(failures >= 9);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hits_are_the_models_bits),
        cmocka_unit_test(search_over_a_cache_gives_the_same_answer),
        cmocka_unit_test(other_pairs_policies_and_models_miss),
        cmocka_unit_test(deadline_gives_known_pairs_and_the_first_unknown),
        cmocka_unit_test(pairs_of_many_queries_are_the_models_bits),
        cmocka_unit_test(file_stays_below_its_bound_and_forgets_the_oldest),
        cmocka_unit_test(damage_anywhere_never_gives_a_wrong_score),
        cmocka_unit_test(other_files_are_refused_and_left_alone),
        cmocka_unit_test(processes_share_a_file),
        cmocka_unit_test(writer_that_never_ends_costs_storing_alone),
        cmocka_unit_test(failed_allocations_are_reported),
    };
    return cmocka_run_group_tests_name("score_cache", tests, open_fixture, close_fixture);
}
