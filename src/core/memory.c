/* memory.c -- checked allocation.
 *
 * The failure counter costs one relaxed atomic increment an allocation; the hot
 * path allocates nothing, so this is not measurable. */
#include "core/memory.h"
#include "core/error.h"

#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

enum { HUGE_PAGE = 2 << 20 };

static _Atomic uint64_t made;
static uint64_t fail_at;
static bool fail_sticky;

static bool must_fail(void) {
    uint64_t n = atomic_fetch_add_explicit(&made, 1, memory_order_relaxed) + 1;
    if (!fail_at) return false;
    return fail_sticky ? n >= fail_at : n == fail_at;
}

uint64_t wn_memory_fail_at(uint64_t n, bool sticky) {
    uint64_t before = atomic_exchange(&made, 0);
    fail_at = n;
    fail_sticky = sticky;
    return before;
}

void *wn_malloc(size_t bytes) {
    if (must_fail()) return NULL;
    return malloc(bytes ? bytes : 1);
}

void *wn_calloc(size_t n, size_t size) {
    if (must_fail()) return NULL;
    if (!n || !size) n = size = 1;
    return calloc(n, size);
}

void *wn_realloc(void *p, size_t bytes) {
    if (must_fail()) return NULL;
    return realloc(p, bytes ? bytes : 1);
}

void *wn_reallocarray(void *p, size_t n, size_t size) {
    size_t bytes;
    if (wn_mul_overflows(n, size, &bytes)) return NULL;
    return wn_realloc(p, bytes);
}

/* Large blocks ask for huge pages: packing 85 MB of weights is 21,000 page faults otherwise, a quarter of the
 * processor time of a start (147 ms, 110 with). A last page that is not filled to three quarters is left to
 * small ones, so that rounding up costs half a megabyte at most. */
static void *malloc_huge(size_t bytes) {
    size_t whole;
    void *p = NULL;
    if (wn_add_overflows(bytes, HUGE_PAGE / 4, &whole)) return NULL;
    whole &= ~(size_t)(HUGE_PAGE - 1);
    if (posix_memalign(&p, HUGE_PAGE, whole > bytes ? whole : bytes) != 0) return NULL;
    (void)madvise(p, whole, MADV_HUGEPAGE); /* a hint */
    return p;
}

void *wn_malloc_aligned(size_t bytes) {
    if (must_fail()) return NULL;
    size_t rounded;
    if (wn_add_overflows(bytes ? bytes : 1, 63, &rounded)) return NULL;
    if (bytes >= HUGE_PAGE / 4 * 3) return malloc_huge(bytes);
    return aligned_alloc(64, rounded & ~(size_t)63);
}

char *wn_strndup(const char *s, size_t len) {
    size_t bytes;
    if (wn_add_overflows(len, 1, &bytes)) return NULL;
    char *copy = wn_malloc(bytes);
    if (!copy) return NULL;
    if (len) memcpy(copy, s, len);
    copy[len] = 0;
    return copy;
}

char *wn_strdup(const char *s) { return wn_strndup(s, strlen(s)); }

void wn_free(void *p) { free(p); }

wn_status wn_arena_init(wn_arena *arena, size_t bytes, wn_error *err) {
    unsigned char *base = wn_malloc_aligned(bytes);
    if (!base) return wn_fail_memory(err, bytes);
    *arena = (wn_arena){.base = base, .size = bytes, .used = 0};
    return WN_OK;
}

void *wn_arena_alloc(wn_arena *arena, size_t bytes) {
    size_t rounded;
    if (wn_add_overflows(bytes, 63, &rounded)) return NULL;
    rounded &= ~(size_t)63;
    if (rounded > arena->size - arena->used) return NULL;
    void *p = arena->base + arena->used;
    arena->used += rounded;
    return p;
}

void wn_arena_reset(wn_arena *arena) { arena->used = 0; }

void wn_arena_release(wn_arena *arena) {
    wn_free(arena->base);
    *arena = (wn_arena){0};
}

wn_status wn_buf_reserve(wn_buf *buf, size_t extra, wn_error *err) {
    size_t need;
    if (wn_add_overflows(buf->len, extra, &need) || wn_add_overflows(need, 1, &need))
        return wn_fail_memory(err, extra);
    if (need <= buf->cap) return WN_OK;
    size_t cap = buf->cap ? buf->cap : 64;
    while (cap < need) {
        if (cap > SIZE_MAX / 2) {
            cap = need;
            break;
        }
        cap *= 2;
    }
    char *data = wn_realloc(buf->data, cap);
    if (!data) return wn_fail_memory(err, cap);
    buf->data = data;
    buf->cap = cap;
    return WN_OK;
}

wn_status wn_buf_append(wn_buf *buf, const void *bytes, size_t len, wn_error *err) {
    WN_TRY(wn_buf_reserve(buf, len, err));
    if (len) memcpy(buf->data + buf->len, bytes, len);
    buf->len += len;
    buf->data[buf->len] = 0;
    return WN_OK;
}

wn_status wn_buf_printf(wn_buf *buf, wn_error *err, const char *fmt, ...) {
    va_list args, again;
    va_start(args, fmt);
    va_copy(again, args);
    int n = vsnprintf(NULL, 0, fmt, args);
    va_end(args);
    wn_status st = n < 0 ? wn_fail(err, WN_ERR_INTERNAL, "format failed")
                         : wn_buf_reserve(buf, (size_t)n, err);
    if (st == WN_OK) {
        vsnprintf(buf->data + buf->len, (size_t)n + 1, fmt, again);
        buf->len += (size_t)n;
    }
    va_end(again);
    return st;
}

void wn_buf_clear(wn_buf *buf) {
    buf->len = 0;
    if (buf->data) buf->data[0] = 0;
}

void wn_buf_release(wn_buf *buf) {
    wn_free(buf->data);
    *buf = (wn_buf){0};
}

wn_status wn_grow(void *p, size_t *cap, size_t need, size_t size, wn_error *err) {
    if (need <= *cap) return WN_OK;
    size_t want = *cap ? *cap : 16;
    while (want < need) want = want > SIZE_MAX / 2 ? need : want * 2;
    void *old;
    memcpy(&old, p, sizeof old);
    void *grown = wn_reallocarray(old, want, size);
    if (!grown) return wn_fail_memory(err, want * size);
    memcpy(p, &grown, sizeof grown);
    *cap = want;
    return WN_OK;
}
