/* document_source.h -- an iterator over documents: files, folders, corpora, standard input.
 *
 * open() resolves the inputs to a list of files (names only; no file is read yet);
 * next() reads one document at a time, so memory holds one document and the names.
 *
 *     wn_document_source_open(inputs, n, NULL, &source, err);
 *     const wn_document *doc;
 *     while ((st = wn_document_source_next(source, &doc, err)) == WN_OK && doc) ...
 *     wn_document_source_close(source);
 *
 * Inputs, in the order given; within a folder, files in byte order of their paths:
 *   FOLDER      walked for .md .markdown .txt (any letter case). Names that start with a dot are
 *               skipped, silently. Symbolic links are followed; a folder is walked once, whatever
 *               names lead to it, so loops end. A folder without any document is
 *               WN_ERR_NOT_FOUND.
 *   x.jsonl     a BEIR corpus: one document a line, read as a stream.
 *   "-"         standard input, one plain-text document with source "-". At most once.
 *   other FILE  .md and .markdown are Markdown, anything else plain text.
 * One file (device and inode) is one document, under its first name that is not a symbolic
 * link; its other names are reported through `warning`.
 *
 * A document that can't be read, is not UTF-8, is over the limit, or is empty (nothing but white
 * space) is reported through `warning` and skipped. When nothing at all could be yielded,
 * next() ends with WN_ERR_NOT_FOUND and the first reason instead of a quiet end. A corpus line
 * that is not what BEIR says is an error with file and line: a damaged corpus must not
 * become a quietly smaller index. */
#ifndef WN_INDEX_DOCUMENT_SOURCE_H
#define WN_INDEX_DOCUMENT_SOURCE_H

#include "core/hash.h"
#include "core/memory.h"

typedef enum wn_document_kind {
    WN_DOCUMENT_TEXT = 0,
    WN_DOCUMENT_MARKDOWN,
    WN_DOCUMENT_CORPUS /* one line of a BEIR corpus */
} wn_document_kind;

/* Everything is borrowed until the next call of next() or close(). */
typedef struct wn_document {
    wn_document_kind kind;
    const char *source;   /* path as given (folder joined with '/'), "-", or the corpus's _id */
    const char *origin;   /* the corpus file as given, of a corpus line; "" for files and "-" */
    const char *title;    /* corpus title; Markdown: the first heading, if of level 1, else front matter's
                           * title, else the first heading; else "" */
    const char *metadata; /* JSON object, compact, keys sorted: front matter and "filename" of a file;
                           * "metadata" of a corpus line, and its members beyond BEIR's four; {} for "-" */
    wn_str text;          /* the whole file, BOM and front matter included: offsets into it are
                           * offsets in the file. Corpus: the text member (the title, when text
                           * is empty). Always valid UTF-8; may hold NULs. */
    size_t body_begin;    /* passages are cut from text[body_begin, text.len): after BOM and
                           * front matter */
    wn_hash hash;         /* of kind, title, metadata, body_begin and text: equal means nothing
                           * changed that the index keeps. Source and origin are not in it. */
    const struct wn_markdown *markdown; /* headings (text/markdown.h); NULL unless MARKDOWN */
} wn_document;

typedef struct wn_document_source_options {
    size_t size;          /* sizeof(wn_document_source_options) */
    size_t max_bytes;     /* of one document (a file, or one line of a corpus); default 1 GiB */
    void (*warning)(void *ctx, const char *message); /* one line, names the file; may be NULL */
    void *warning_ctx;
} wn_document_source_options;
wn_document_source_options wn_document_source_options_default(void);

typedef struct wn_document_source wn_document_source;

/* Inputs are copied. options NULL: defaults. WN_ERR_NOT_FOUND names an input that is missing or
 * a folder without documents; WN_ERR_ARGUMENT: no inputs, an empty name, "-" twice. */
wn_status wn_document_source_open(const char *const *inputs, size_t ninputs,
                                  const wn_document_source_options *options,
                                  wn_document_source **out, wn_error *err);
void wn_document_source_close(wn_document_source *source);

/* *out = the next document, or NULL at the end. After an error: only close. Sources are
 * unique among files, but a corpus may repeat an _id: that is the index's to notice. */
wn_status wn_document_source_next(wn_document_source *source, const wn_document **out, wn_error *err);

/* Where next() stands. Totals are those of open(): files may grow meanwhile; standard
 * input counts as one file of 0 bytes. */
typedef struct wn_document_position {
    uint64_t files_done, files_total;
    uint64_t bytes_done, bytes_total; /* a corpus moves line by line */
    uint64_t documents, skipped;
} wn_document_position;
wn_document_position wn_document_source_position(const wn_document_source *source);

/* "Memory > Bandwidth": the headings that text[offset] stands under, outermost first, "" when
 * none. For a passage ask with its begin. Appended to *out (which is NUL-terminated after). */
wn_status wn_document_heading_path(const wn_document *document, size_t offset, wn_buf *out,
                                   wn_error *err);

/* From the other members. */
wn_status wn_document_hash(wn_document *document, wn_error *err);

#endif
