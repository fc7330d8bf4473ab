/* memory.h -- checked allocation, one arena a session, growable byte buffers.
 *
 * All heap memory of the library comes through wn_malloc & co., so that a test
 * can make the n-th allocation fail (wn_memory_fail_at). */
#ifndef WN_CORE_MEMORY_H
#define WN_CORE_MEMORY_H
#include <winnow/core.h>

/* NULL on failure. n * size is checked for overflow. The memory is freed with wn_free. */
void *wn_malloc(size_t bytes);
void *wn_calloc(size_t n, size_t size);
void *wn_realloc(void *p, size_t bytes);
void *wn_reallocarray(void *p, size_t n, size_t size);
char *wn_strdup(const char *s);
char *wn_strndup(const char *s, size_t len); /* NUL-terminated copy of len bytes */
void wn_free(void *p);
/* 64-byte aligned (a cache line, an AVX-512 vector); freed with wn_free. */
void *wn_malloc_aligned(size_t bytes);

/* Tests only: the n-th allocation from now (1 = the next) fails, and every one
 * after it when `sticky`; 0 turns it off. Returns how many were made since the
 * last call. Not thread-safe on purpose: set it before threads start. */
uint64_t wn_memory_fail_at(uint64_t n, bool sticky);

static inline bool wn_mul_overflows(size_t a, size_t b, size_t *out) {
    return __builtin_mul_overflow(a, b, out);
}
static inline bool wn_add_overflows(size_t a, size_t b, size_t *out) {
    return __builtin_add_overflow(a, b, out);
}

/* One block, sized at creation; allocation is a bump, reset frees all of it. */
typedef struct wn_arena {
    unsigned char *base;
    size_t size, used;
} wn_arena;

wn_status wn_arena_init(wn_arena *arena, size_t bytes, wn_error *err);
void *wn_arena_alloc(wn_arena *arena, size_t bytes); /* 64-byte aligned; NULL when full */
void wn_arena_reset(wn_arena *arena);
void wn_arena_release(wn_arena *arena);

/* A growable byte string. Zero-initialise; data is NUL-terminated once non-empty. */
typedef struct wn_buf {
    char *data;
    size_t len, cap;
} wn_buf;

wn_status wn_buf_reserve(wn_buf *buf, size_t extra, wn_error *err);
wn_status wn_buf_append(wn_buf *buf, const void *bytes, size_t len, wn_error *err);
wn_status wn_buf_printf(wn_buf *buf, wn_error *err, const char *fmt, ...) WN_PRINTF(3, 4);
void wn_buf_clear(wn_buf *buf); /* keeps the memory */
void wn_buf_release(wn_buf *buf);

/* Makes room for `need` elements of `size` bytes in *p (capacity *cap), doubling. */
wn_status wn_grow(void *p, size_t *cap, size_t need, size_t size, wn_error *err);
#endif
