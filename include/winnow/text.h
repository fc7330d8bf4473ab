/* winnow/text.h -- tokenizers and splitters.
 *
 * A tokenizer turns text into the ids a model was trained on, identical to
 * Hugging Face `tokenizers` reading the same tokenizer.json. A splitter cuts a
 * document into passages, identical to LangChain's RecursiveCharacterTextSplitter. */
#ifndef WINNOW_TEXT_H
#define WINNOW_TEXT_H

#include <winnow/core.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ---- Tokenizers ---------------------------------------------------------- */

/* Immutable after open; any number of threads may encode with it at once, each
 * with its own wn_encoding. */
typedef struct wn_tokenizer wn_tokenizer;

/* One encoded text or pair, reusable: encoding again keeps the memory. One thread at a time. */
typedef struct wn_encoding wn_encoding;

typedef enum wn_truncation {
    WN_TRUNCATE_LONGEST_FIRST = 0, /* token by token from the longer side, as HF does */
    WN_TRUNCATE_ONLY_FIRST,
    WN_TRUNCATE_ONLY_SECOND,
    WN_TRUNCATE_NONE               /* never cut: the ids may exceed max_length */
} wn_truncation;

/* path: a model directory holding tokenizer.json, or that file itself. Reads the
 * compiled form from the cache ($WINNOW_CACHE, else $XDG_CACHE_HOME/winnow, else
 * ~/.cache/winnow) when it matches the file's hash; leaves one there otherwise.
 * Unknown components are refused by name (UNSUPPORTED). The truncation and padding
 * stored in the file are not used. */
WN_API wn_status wn_tokenizer_open(const char *path, wn_tokenizer **out, wn_error *err);
WN_API void wn_tokenizer_close(wn_tokenizer *tokenizer);
WN_API size_t wn_tokenizer_vocab_size(const wn_tokenizer *tokenizer);
/* Special tokens the template adds to a single text / to a pair (2 and 3 for BERT, 2 and 4 for XLM-R). */
WN_API size_t wn_tokenizer_special_count(const wn_tokenizer *tokenizer, bool pair);

WN_API wn_status wn_encoding_create(wn_encoding **out, wn_error *err);
WN_API void wn_encoding_free(wn_encoding *encoding);

/* The whole job: normalise, split, look up, cut to max_length (special tokens
 * included), add the template. `pair` NULL: a single text. max_length 0: no limit.
 * Invalid UTF-8: each maximal invalid subpart is read as U+FFFD. Text under 2 GiB.
 * Fails with WN_ERR_ARGUMENT when max_length has no room for the special tokens,
 * or when ONLY_FIRST / ONLY_SECOND can't cut enough (HF raises there too). */
WN_API wn_status wn_tokenizer_encode(const wn_tokenizer *tokenizer, wn_str text, const wn_str *pair,
                                     size_t max_length, wn_truncation truncation,
                                     wn_encoding *out, wn_error *err);

/* The job in two steps, for callers that use one side many times (a query with 50
 * passages) or cut windows themselves. `raw`: the ids of one text, without
 * template or limit, appended to nothing: out then holds just them. */
WN_API wn_status wn_tokenizer_encode_raw(const wn_tokenizer *tokenizer, wn_str text,
                                         wn_encoding *out, wn_error *err);
/* Joins raw ids (b may be NULL with nb = 0 and pair false) exactly as wn_tokenizer_encode would.
 * The ids must not lie in `out` itself (ARGUMENT). */
WN_API wn_status wn_tokenizer_join(const wn_tokenizer *tokenizer, const int32_t *a, size_t na,
                                   const int32_t *b, size_t nb, bool pair, size_t max_length,
                                   wn_truncation truncation, wn_encoding *out, wn_error *err);

/* Borrowed until the next encode into it or its free. */
WN_API const int32_t *wn_encoding_ids(const wn_encoding *encoding);
WN_API const uint8_t *wn_encoding_type_ids(const wn_encoding *encoding);
WN_API size_t wn_encoding_length(const wn_encoding *encoding);
/* Byte offsets [begin, end) in the source text of raw token i: filled by encode_raw only
 * (NULL otherwise); 2 entries a token. Tokens of characters changed by the normaliser point
 * at the source bytes they came from. */
WN_API const uint32_t *wn_encoding_offsets(const wn_encoding *encoding);
/* Tokens of each side that were cut away (0 when everything fitted). */
WN_API size_t wn_encoding_dropped_first(const wn_encoding *encoding);
WN_API size_t wn_encoding_dropped_second(const wn_encoding *encoding);

/* The text of one id (a vocabulary entry), borrowed from the tokenizer; NULL when out of range. */
WN_API const char *wn_tokenizer_token(const wn_tokenizer *tokenizer, int32_t id);

/* ---- Splitters ----------------------------------------------------------- */

typedef enum wn_split_unit { WN_UNIT_CHARACTERS = 0, WN_UNIT_TOKENS } wn_split_unit;

typedef struct wn_split_options {
    size_t size;          /* sizeof(wn_split_options) */
    size_t chunk_size;    /* in units; default 500 */
    size_t chunk_overlap; /* in units; default 100; at most chunk_size */
    wn_split_unit unit;   /* Unicode code points, or tokens of `tokenizer` */
    const wn_tokenizer *tokenizer; /* borrowed; only for WN_UNIT_TOKENS */
} wn_split_options;
WN_API wn_split_options wn_split_options_default(void);

/* One chunk: its text is text[begin, end) of the source... except that a chunk always is a
 * contiguous run of the source (separators are kept, ends are stripped), so offsets are exact. */
typedef struct wn_chunk_span {
    size_t begin, end; /* bytes */
} wn_chunk_span;

typedef struct wn_chunks wn_chunks;
/* Splits one text as RecursiveCharacterTextSplitter(chunk_size, chunk_overlap).split_text does. */
WN_API wn_status wn_split_text(wn_str text, const wn_split_options *options, wn_chunks **out,
                               wn_error *err);
WN_API size_t wn_chunks_count(const wn_chunks *chunks);
WN_API wn_chunk_span wn_chunks_span(const wn_chunks *chunks, size_t i);
WN_API void wn_chunks_free(wn_chunks *chunks);

#ifdef __cplusplus
}
#endif
#endif
