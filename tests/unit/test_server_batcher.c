/* test_server_batcher.c -- who gets into which pass, what deadlines and failures do, and that scores are the library's.
 *
 * Order is tested with a fake model whose passes are opened one by one: each pass waits for a permit, and what it
 * was given is written down. Text "x:3" is item 3 of request x. Scores are tested with the committed reranker. */
#include "test_tier.h"
#include "server/batcher.h"
#include "server/encoders.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { MOST_PASSES = 400, MOST_THREADS = 64 };

/* ---- A fake model ----------------------------------------------------------- */

typedef struct fake {
    srv_encoder encoder;
    srv_batcher *batcher;
    sem_t permits, begun;
    bool gated;
    unsigned pass_ms;
    char passes[MOST_PASSES][1024]; /* "a:0 b:0 a:1 " */
    size_t npasses, nitems;
} fake;

static fake *the_fake;

static wn_status fake_pass(srv_encoder *encoder, const srv_pass *pass, wn_error *err) {
    fake *f = the_fake;
    char *line = f->passes[f->npasses < MOST_PASSES ? f->npasses : MOST_PASSES - 1];
    line[0] = 0;
    for (size_t i = 0; i < pass->n; i++) {
        size_t n = strlen(line);
        snprintf(line + n, sizeof f->passes[0] - n, "%.*s ", (int)(pass->texts[i].len > 8 ? 8 : pass->texts[i].len),
                 pass->texts[i].data);
        if (pass->texts[i].len >= 4 && !memcmp(pass->texts[i].data, "long", 4))
            return srv_fail(err, WN_ERR_TOO_LONG, "text %zu is too long", i);
        if (pass->scores) pass->scores[i] = (wn_pair_score){.logit = (float)pass->texts[i].len};
    }
    f->npasses++;
    f->nitems += pass->n;
    if (f->gated) {
        sem_post(&f->begun);
        sem_wait(&f->permits);
    }
    if (f->pass_ms) usleep(f->pass_ms * 1000);
    return WN_OK;
}

/* An item of these tests has under 8 bytes with its query, which batcher.c counts as 4 tokens. */
enum { COST = 4 };

static fake *fake_start(size_t budget_items, size_t queue_items, bool gated) {
    fake *f = calloc(1, sizeof *f);
    assert_non_null(f);
    the_fake = f;
    f->encoder = (srv_encoder){.info = {.max_length = 512, .kind = WN_MODEL_CROSS_ENCODER}, .name = "fake",
                               .pass = fake_pass};
    f->gated = gated;
    sem_init(&f->permits, 0, 0);
    sem_init(&f->begun, 0, 0);
    srv_batcher_options options = {.max_batch_tokens = budget_items * COST, .max_queue_tokens = queue_items * COST};
    wn_error err;
    assert_int_equal(srv_batcher_create(&options, NULL, &f->batcher, &err), WN_OK);
    return f;
}

static void fake_stop(fake *f) {
    srv_batcher_state left = srv_batcher_look(f->batcher);
    assert_int_equal(left.requests, 0);
    assert_int_equal(left.items, 0);
    assert_int_equal(left.tokens, 0);
    srv_batcher_free(f->batcher);
    sem_destroy(&f->permits);
    sem_destroy(&f->begun);
    free(f);
}

static void open_all(fake *f) {
    f->gated = false; /* read again only after the permit: the semaphore orders it */
    sem_post(&f->permits);
}

/* ---- Requests on threads ----------------------------------------------------- */

typedef struct request {
    fake *f;
    pthread_t thread;
    srv_work work;
    wn_str query, texts[256];
    char storage[256][16];
    wn_pair_score scores[256];
    bool done[256];
    atomic_bool gone;
    wn_status status;
    wn_error err;
} request;

static request *request_make(fake *f, const char *name, const char *client, size_t n) {
    request *r = calloc(1, sizeof *r);
    assert_non_null(r);
    r->f = f;
    r->query = (wn_str){"q", 1};
    for (size_t i = 0; i < n; i++) {
        int len = snprintf(r->storage[i], sizeof r->storage[i], "%s:%zu", name, i);
        r->texts[i] = (wn_str){r->storage[i], (size_t)len};
    }
    r->work = (srv_work){.encoder = &f->encoder, .queries = &r->query, .shared_query = true, .texts = r->texts,
                         .n = n, .client = client, .gone = &r->gone, .scores = r->scores, .done = r->done};
    return r;
}

static void *request_main(void *ctx) {
    request *r = ctx;
    r->status = srv_batcher_run(r->f->batcher, &r->work, &r->err);
    return NULL;
}

/* Starts it and waits until its items are in the queue. */
static void request_start(request *r) {
    size_t before = srv_batcher_look(r->f->batcher).items;
    assert_int_equal(pthread_create(&r->thread, NULL, request_main, r), 0);
    if (!r->f->gated) return;
    for (int i = 0; i < 5000 && srv_batcher_look(r->f->batcher).items == before; i++) usleep(200);
}

static wn_status request_end(request *r) {
    pthread_join(r->thread, NULL);
    wn_status st = r->status;
    free(r);
    return st;
}

/* A request of one item whose pass has begun and waits for a permit. */
static request *occupy(fake *f) {
    request *r = request_make(f, "z", "z", 1);
    assert_int_equal(pthread_create(&r->thread, NULL, request_main, r), 0);
    sem_wait(&f->begun);
    return r;
}

static size_t count_of(const char *pass, const char *name) {
    size_t n = 0, length = strlen(name);
    for (const char *p = pass; (p = strstr(p, name)); p += length)
        if ((p == pass || p[-1] == ' ') && p[length] == ':') n++;
    return n;
}

/* ---- Order -------------------------------------------------------------------- */

static void small_request_beside_big_one_is_in_the_next_pass(void **state) {
    fake *f = fake_start(8, 10000, true);
    request *first = occupy(f), *big = request_make(f, "B", "a", 200), *small = request_make(f, "s", "b", 1);
    request_start(big);
    request_start(small);
    open_all(f);
    assert_int_equal(request_end(first), WN_OK);
    assert_int_equal(request_end(small), WN_OK);
    assert_int_equal(request_end(big), WN_OK);
    assert_int_equal(count_of(f->passes[1], "s"), 1);
    assert_int_equal(count_of(f->passes[1], "B"), 7);
    fake_stop(f);
}

static void late_small_request_behind_a_started_one_is_in_the_next_pass(void **state) {
    fake *f = fake_start(8, 10000, true);
    request *first = occupy(f), *big = request_make(f, "B", "a", 200), *small = request_make(f, "s", "a", 1);
    request_start(big);
    sem_post(&f->permits);
    sem_wait(&f->begun); /* big's first pass runs */
    request_start(small); /* same client */
    open_all(f);
    assert_int_equal(request_end(first), WN_OK);
    assert_int_equal(request_end(small), WN_OK);
    assert_int_equal(request_end(big), WN_OK);
    assert_int_equal(count_of(f->passes[2], "s"), 1);
    fake_stop(f);
}

static void two_clients_with_much_work_share_every_pass(void **state) {
    fake *f = fake_start(10, 10000, true);
    request *first = occupy(f), *many[5], *other = request_make(f, "o", "b", 50);
    for (int i = 0; i < 5; i++) {
        many[i] = request_make(f, "m", "a", 50);
        request_start(many[i]); /* five requests give a client no more than one does */
    }
    request_start(other);
    open_all(f);
    request_end(first);
    assert_int_equal(request_end(other), WN_OK);
    for (int i = 0; i < 5; i++) assert_int_equal(request_end(many[i]), WN_OK);
    for (int p = 1; p < 10; p++) assert_in_range(count_of(f->passes[p], "o"), 4, 6);
    fake_stop(f);
}

static void stream_of_new_requests_does_not_starve_an_old_one(void **state) {
    fake *f = fake_start(4, 10000, true);
    request *first = occupy(f), *big = request_make(f, "B", "a", 40), *fresh[40];
    request_start(big);
    for (int i = 0; i < 40; i++) {
        fresh[i] = request_make(f, "f", "a", 1);
        request_start(fresh[i]);
    }
    open_all(f);
    request_end(first);
    for (int i = 0; i < 40; i++) assert_int_equal(request_end(fresh[i]), WN_OK);
    assert_int_equal(request_end(big), WN_OK);
    for (int p = 1; p < 15; p++) assert_in_range(count_of(f->passes[p], "B"), 1, 3);
    fake_stop(f);
}

static size_t last_pass_of(const fake *f, const char *name) {
    size_t last = 0;
    for (size_t p = 0; p < f->npasses; p++)
        if (count_of(f->passes[p], name)) last = p;
    return last;
}

static void equal_requests_of_a_client_end_one_after_the_other(void **state) {
    fake *f = fake_start(10, 10000, true);
    request *first = occupy(f), *a = request_make(f, "a", "x", 50), *b = request_make(f, "b", "x", 50);
    request_start(a);
    request_start(b);
    open_all(f);
    request_end(first);
    assert_int_equal(request_end(a), WN_OK);
    assert_int_equal(request_end(b), WN_OK);
    assert_in_range(last_pass_of(f, "a"), 5, 7); /* rotating, both would end in pass 10 */
    assert_int_equal(last_pass_of(f, "b"), 10);
    fake_stop(f);
}

static void short_request_of_several_items_passes_a_long_one_of_its_client(void **state) {
    fake *f = fake_start(8, 10000, true);
    request *first = occupy(f), *big = request_make(f, "B", "a", 200), *small = request_make(f, "s", "a", 12);
    request_start(big);
    sem_post(&f->permits);
    sem_wait(&f->begun); /* big's first pass runs */
    request_start(small);
    open_all(f);
    request_end(first);
    assert_int_equal(request_end(small), WN_OK);
    assert_int_equal(request_end(big), WN_OK);
    assert_in_range(last_pass_of(f, "s"), 3, 6);
    fake_stop(f);
}

static void requests_of_another_kind_have_their_own_pass(void **state) {
    fake *f = fake_start(100, 10000, true);
    request *first = occupy(f), *cut = request_make(f, "c", "a", 3), *windows = request_make(f, "w", "b", 3);
    windows->work.policy = WN_LENGTH_WINDOWS;
    request_start(cut);
    request_start(windows);
    open_all(f);
    request_end(first);
    assert_int_equal(request_end(cut), WN_OK);
    assert_int_equal(request_end(windows), WN_OK);
    assert_int_equal(f->npasses, 3);
    assert_string_equal(f->passes[1], "c:0 c:1 c:2 ");
    assert_string_equal(f->passes[2], "w:0 w:1 w:2 ");
    fake_stop(f);
}

static void item_over_the_budget_has_a_pass_of_its_own(void **state) {
    static char text[4000];
    memset(text, 'a', sizeof text);
    fake *f = fake_start(2, 10000, true);
    request *first = occupy(f), *r = request_make(f, "r", "a", 3);
    r->texts[1] = (wn_str){text, sizeof text};
    request_start(r);
    open_all(f);
    request_end(first);
    assert_int_equal(request_end(r), WN_OK);
    assert_int_equal(f->npasses, 4);
    fake_stop(f);
}

/* ---- Ends ----------------------------------------------------------------------- */

static void deadline_keeps_what_was_scored_in_time(void **state) {
    fake *f = fake_start(2, 10000, false);
    f->pass_ms = 20;
    request *r = request_make(f, "r", "a", 100);
    r->work.deadline_ms = srv_now_ms() + 100;
    double start = srv_now_ms();
    request_start(r);
    pthread_join(r->thread, NULL);
    assert_int_equal(r->status, WN_OK);
    assert_in_range(r->work.ndone, 2, 20);
    for (size_t i = 0; i < 100; i++) {
        assert_int_equal(r->done[i], i < r->work.ndone);
        if (r->done[i]) assert_true(r->scores[i].logit == (float)r->texts[i].len);
    }
    assert_true(srv_now_ms() - start < 1000);
    free(r);
    fake_stop(f);
}

static void deadline_that_is_past_computes_nothing(void **state) {
    fake *f = fake_start(2, 10000, false);
    request *r = request_make(f, "r", "a", 5);
    r->work.deadline_ms = srv_now_ms() - 1;
    request_start(r);
    pthread_join(r->thread, NULL);
    assert_int_equal(r->status, WN_OK);
    assert_int_equal(r->work.ndone, 0);
    assert_int_equal(f->nitems, 0);
    free(r);
    fake_stop(f);
}

static void gone_client_costs_nothing_more(void **state) {
    fake *f = fake_start(4, 10000, true);
    request *first = occupy(f), *r = request_make(f, "r", "a", 100);
    request_start(r);
    sem_post(&f->permits);
    sem_wait(&f->begun); /* its first pass runs */
    atomic_store(&r->gone, true);
    open_all(f);
    request_end(first);
    assert_int_equal(request_end(r), WN_ERR_CANCELLED);
    assert_int_equal(f->nitems, 1 + 4);
    fake_stop(f);
}

static void full_queue_is_busy_at_once(void **state) {
    fake *f = fake_start(4, 100, true);
    request *first = occupy(f), *a = request_make(f, "a", "a", 60), *b = request_make(f, "b", "b", 35),
            *c = request_make(f, "c", "c", 20);
    request_start(a);
    request_start(b);
    assert_int_equal(srv_batcher_run(f->batcher, &c->work, &c->err), WN_ERR_BUSY); /* on this thread: does not wait */
    assert_int_equal(c->work.ndone, 0);
    open_all(f);
    request_end(first);
    assert_int_equal(request_end(a), WN_OK);
    assert_int_equal(request_end(b), WN_OK);
    assert_int_equal(srv_batcher_run(f->batcher, &c->work, &c->err), WN_OK);
    free(c);
    fake_stop(f);
}

static void one_client_leaves_a_quarter_of_the_queue(void **state) {
    fake *f = fake_start(4, 100, true);
    request *first = occupy(f), *a = request_make(f, "a", "a", 60), *more = request_make(f, "m", "a", 20),
            *b = request_make(f, "b", "b", 20);
    request_start(a);
    assert_int_equal(srv_batcher_run(f->batcher, &more->work, &more->err), WN_ERR_BUSY);
    request_start(b);
    open_all(f);
    request_end(first);
    assert_int_equal(request_end(a), WN_OK);
    assert_int_equal(request_end(b), WN_OK);
    free(more);
    fake_stop(f);
}

static void request_over_the_whole_queue_is_taken_when_alone(void **state) {
    fake *f = fake_start(4, 10, false);
    request *a = request_make(f, "a", "a", 100);
    request_start(a);
    assert_int_equal(request_end(a), WN_OK);
    fake_stop(f);
}

static void too_long_item_fails_its_request_alone_and_is_named(void **state) {
    fake *f = fake_start(8, 10000, true);
    request *first = occupy(f), *good = request_make(f, "g", "a", 6), *bad = request_make(f, "b", "b", 30);
    bad->texts[2] = (wn_str){"long", 4};
    request_start(good);
    request_start(bad);
    open_all(f);
    request_end(first);
    assert_int_equal(request_end(good), WN_OK);
    pthread_join(bad->thread, NULL);
    assert_int_equal(bad->status, WN_ERR_TOO_LONG);
    assert_string_equal(bad->err.message, "item 2: text 0 is too long");
    free(bad);
    fake_stop(f);
}

static void wrong_kind_of_model_is_mismatch(void **state) {
    fake *f = fake_start(8, 10000, false);
    request *r = request_make(f, "r", "a", 1);
    r->work.queries = NULL;
    assert_int_equal(srv_batcher_run(f->batcher, &r->work, &r->err), WN_ERR_MISMATCH);
    r->work.queries = &r->query;
    r->work.n = 0;
    assert_int_equal(srv_batcher_run(f->batcher, &r->work, &r->err), WN_OK);
    free(r);
    fake_stop(f);
}

/* ---- The library's scores -------------------------------------------------------- */

static const char *const WORDS[] = {"memory", "bandwidth", "of", "the", "gateway", "runs", "a", "sensor", "at",
                                    "eighty", "degrees", "and", "reports", "by", "radio", "every", "minute"};

typedef struct scoring {
    srv_batcher *batcher;
    srv_encoder *encoder;
    const wn_str *queries, *texts;
    const wn_pair_score *want;
    size_t n, seed, compared, wrong;
} scoring;

static void *score_main(void *ctx) {
    scoring *s = ctx;
    wn_pair_score scores[16];
    wn_error err;
    char client[8];
    snprintf(client, sizeof client, "c%zu", s->seed % 3);
    for (size_t round = 0; round < 12; round++) {
        size_t begin = (s->seed * 31 + round * 17) % (s->n - 16), n = 1 + (s->seed + round * 5) % 16;
        srv_work work = {.encoder = s->encoder, .queries = s->queries + begin, .texts = s->texts + begin, .n = n,
                         .client = client, .scores = scores};
        if (srv_batcher_run(s->batcher, &work, &err) != WN_OK) s->wrong++;
        if (!work.tokens) s->wrong++;
        for (size_t i = 0; i < n; i++, s->compared++)
            if (memcmp(&scores[i].logit, &s->want[begin + i].logit, sizeof(float)) != 0) s->wrong++;
    }
    return NULL;
}

static void scores_of_shared_passes_are_bitwise_the_librarys(void **state) {
    if (wn_test_emulated()) {
        printf("SKIPPED: scores_of_shared_passes_are_bitwise_the_librarys is not run under an emulator\n");
        skip();
    }
    enum { N = 80, THREADS = 8 };
    static char storage[2 * N][400];
    wn_str texts[2 * N];
    wn_pair_score want[N];
    wn_error err;
    srv_encoder *encoder = NULL;
    wn_cross_encoder *alone = NULL;
    srv_batcher *batcher = NULL;
    for (size_t i = 0, r = 7; i < 2 * N; i++) {
        size_t words = i < N ? 2 + i % 5 : 1 + (i * 7) % 45;
        for (size_t w = 0; w < words; w++, r = r * 1103515245 + 12345)
            strcat(strcat(storage[i], w ? " " : ""), WORDS[(r >> 16) % (sizeof WORDS / sizeof *WORDS)]);
        texts[i] = (wn_str){storage[i], strlen(storage[i])};
    }
    assert_int_equal(srv_encoder_open(WN_SOURCE_ROOT "/models/reranker-minilm-l6-v0", WN_F32, 2, NULL, &encoder, &err), WN_OK);
    assert_int_equal(wn_cross_encoder_create(encoder->model, 1, &alone, &err), WN_OK);
    assert_int_equal(wn_cross_encoder_score_pairs(alone, texts, texts + N, N, 1, WN_LENGTH_TRUNCATE, want, &err), WN_OK);
    srv_batcher_options options = {.max_batch_tokens = 600, .max_queue_tokens = 1 << 20, .pass_ms = 20};
    assert_int_equal(srv_batcher_create(&options, NULL, &batcher, &err), WN_OK);
    scoring s[THREADS];
    pthread_t threads[THREADS];
    size_t compared = 0;
    for (size_t t = 0; t < THREADS; t++) {
        s[t] = (scoring){batcher, encoder, texts, texts + N, want, N, t, 0, 0};
        assert_int_equal(pthread_create(&threads[t], NULL, score_main, &s[t]), 0);
    }
    for (size_t t = 0; t < THREADS; t++) {
        pthread_join(threads[t], NULL);
        assert_int_equal(s[t].wrong, 0);
        compared += s[t].compared;
    }
    printf("%zu pairs from %d threads, all bitwise equal\n", compared, THREADS);
    srv_batcher_free(batcher);
    wn_cross_encoder_free(alone);
    srv_encoder_close(encoder);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(small_request_beside_big_one_is_in_the_next_pass),
        cmocka_unit_test(late_small_request_behind_a_started_one_is_in_the_next_pass),
        cmocka_unit_test(two_clients_with_much_work_share_every_pass),
        cmocka_unit_test(stream_of_new_requests_does_not_starve_an_old_one),
        cmocka_unit_test(equal_requests_of_a_client_end_one_after_the_other),
        cmocka_unit_test(short_request_of_several_items_passes_a_long_one_of_its_client),
        cmocka_unit_test(requests_of_another_kind_have_their_own_pass),
        cmocka_unit_test(item_over_the_budget_has_a_pass_of_its_own),
        cmocka_unit_test(deadline_keeps_what_was_scored_in_time),
        cmocka_unit_test(deadline_that_is_past_computes_nothing),
        cmocka_unit_test(gone_client_costs_nothing_more),
        cmocka_unit_test(full_queue_is_busy_at_once),
        cmocka_unit_test(one_client_leaves_a_quarter_of_the_queue),
        cmocka_unit_test(request_over_the_whole_queue_is_taken_when_alone),
        cmocka_unit_test(too_long_item_fails_its_request_alone_and_is_named),
        cmocka_unit_test(wrong_kind_of_model_is_mismatch),
        cmocka_unit_test(scores_of_shared_passes_are_bitwise_the_librarys),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
