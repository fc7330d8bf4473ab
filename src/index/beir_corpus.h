/* beir_corpus.h -- corpus.jsonl of the BEIR layout, a line at a time.
 *
 * A line is {"_id": string (an integer is taken as its digits), "title": string (may be
 * absent), "text": string, "metadata": object (may be absent)}. Blank lines are passed over.
 * Anything else is an error that names file and line. */
#ifndef WN_INDEX_BEIR_CORPUS_H
#define WN_INDEX_BEIR_CORPUS_H

#include "core/memory.h"
#include <jansson.h>

typedef struct wn_beir_corpus wn_beir_corpus;

/* Borrowed until the next call. */
typedef struct wn_beir_document {
    const char *id;    /* never empty */
    const char *title; /* "" when absent; a NUL in it is a space */
    wn_str text;       /* valid UTF-8, may hold NULs; the title when the text is empty */
    json_t *metadata;  /* the metadata object and all members beyond the four */
    int64_t line;      /* from 1 */
} wn_beir_document;

typedef enum wn_beir_event {
    WN_BEIR_END = 0,
    WN_BEIR_DOCUMENT,
    WN_BEIR_SKIPPED    /* a line over max_line bytes, or with neither title nor text; see wn_beir_corpus_reason */
} wn_beir_event;

/* max_line: bytes of one line. */
wn_status wn_beir_corpus_open(const char *path, size_t max_line, wn_beir_corpus **out, wn_error *err);
/* Reads a descriptor (a pipe, a test's memory) and owns it from success on. `name` is for messages. */
wn_status wn_beir_corpus_open_fd(int fd, const char *name, size_t max_line, wn_beir_corpus **out,
                                 wn_error *err);
void wn_beir_corpus_close(wn_beir_corpus *corpus);

wn_status wn_beir_corpus_next(wn_beir_corpus *corpus, wn_beir_event *event, wn_beir_document *out,
                              wn_error *err);
/* Why the last line was skipped: one line, names file and line. */
const char *wn_beir_corpus_reason(const wn_beir_corpus *corpus);
/* Bytes of the file consumed so far. */
uint64_t wn_beir_corpus_bytes(const wn_beir_corpus *corpus);

#endif
