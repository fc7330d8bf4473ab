/* winnow/core.h -- what every part of winnow shares: status, error, strings. */
#ifndef WINNOW_CORE_H
#define WINNOW_CORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#if defined(WN_BUILD) && defined(__GNUC__)
#define WN_API __attribute__((visibility("default")))
#else
#define WN_API
#endif
#if defined(__GNUC__)
#define WN_PRINTF(f, a) __attribute__((format(printf, f, a)))
#define WN_NODISCARD __attribute__((warn_unused_result))
#else
#define WN_PRINTF(f, a)
#define WN_NODISCARD
#endif

#ifdef __cplusplus
extern "C" {
#endif

typedef enum wn_status {
    WN_OK = 0,
    WN_ERR_ARGUMENT,     /* the caller's value is not acceptable (k = 0, empty query) */
    WN_ERR_MEMORY,       /* an allocation failed */
    WN_ERR_IO,           /* the operating system refused (message carries strerror) */
    WN_ERR_NOT_FOUND,    /* no such file, model, tensor or document */
    WN_ERR_FORMAT,       /* bytes that are not what they should be: truncated, corrupt */
    WN_ERR_UNSUPPORTED,  /* well formed, but something we do not do (named in the message) */
    WN_ERR_MISMATCH,     /* two things that do not belong together (index and model) */
    WN_ERR_READONLY,     /* the index can't be written */
    WN_ERR_FULL,         /* no space left on the device */
    WN_ERR_BUSY,         /* another process holds the index */
    WN_ERR_NETWORK,      /* a transfer failed */
    WN_ERR_TOO_LONG,     /* input over the model's length under policy `error` */
    WN_ERR_CANCELLED,    /* the caller's callback asked to stop */
    WN_ERR_INTERNAL      /* a defect of winnow or of a library below it */
} wn_status;

/* Caller-owned. `message` is one line without a newline and names the file and
 * what to do; `offset` is a byte position in that file and `line` a line
 * number (from 1), each -1 where unknown. */
typedef struct wn_error {
    wn_status code;
    int64_t offset;
    int64_t line;
    char message[512];
} wn_error;

/* Borrowed bytes; not NUL-terminated, may hold NULs and invalid UTF-8. */
typedef struct wn_str {
    const char *data;
    size_t len;
} wn_str;

/* "ok", "argument", ...: a static string. */
WN_API const char *wn_status_name(wn_status status);

/* "0.1.0": a static string. */
WN_API const char *wn_version(void);

/* How the weights of linear layers are stored and multiplied. Sums, norms and the states between layers are f32
 * always. A text's result is the same bits in any batch and with any number of threads, in every precision. */
typedef enum wn_precision {
    WN_F32 = 0,
    WN_BF16, /* needs AVX512_BF16; else WN_ERR_UNSUPPORTED. Attention too */
    WN_INT8, /* needs AVX2 (faster with AVX512_VNNI) or Arm's dot product (faster with I8MM); else WN_ERR_UNSUPPORTED.
              * Attention and a last layer that has one row a text are bf16 where the processor has that, else f32 */
    WN_AUTO  /* the fastest that holds the bound on quality with every model measured (docs/PERFORMANCE.md): bf16 where the
              * processor has it, else f32; see wn_model_info.precision */
} wn_precision;
/* "f32", "bf16", "int8", "auto": a static string. */
WN_API const char *wn_precision_name(wn_precision precision);

/* Called from the thread that made the call, now and then, during long work.
 * Return false to stop: the call then fails with WN_ERR_CANCELLED. */
typedef bool (*wn_progress_fn)(void *ctx, const char *stage, uint64_t done, uint64_t total);

#ifdef __cplusplus
}
#endif
#endif
