/* document_source.c -- an iterator over documents: files, folders, corpora, standard input.
 *
 * The list of files is made by folder_walk.c, corpora are read by beir_corpus.c, Markdown is understood by
 * text/markdown.c; this file reads one document, checks it, and puts its parts together.
 *
 * Files are read, not mapped: a file that another program shortens while we look would kill the
 * process by SIGBUS, and the index copies the text anyway. The buffer is reused, and given back
 * after a document of more than 16 MB.
 *
 * The hash covers each part with its length before it, so that no two different documents
 * make the same bytes ("ab" + "c" against "a" + "bc"). */
#include "index/document_source.h"

#include "core/error.h"
#include "core/utf8.h"
#include "index/beir_corpus.h"
#include "index/folder_walk.h"
#include "text/markdown.h"
#include "text/white_space.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

enum { KEEP_BUFFER = 16 << 20 };

struct wn_document_source {
    wn_document_source_options options;
    wn_file_list files;
    size_t at;               /* the file to read next; the corpus's while one is open */
    bool has_stdin;
    size_t stdin_input;
    bool stdin_done;
    wn_beir_corpus *corpus;
    uint64_t corpus_documents;
    wn_document_position position;
    wn_error first_skip;     /* message "" while nothing was skipped */
    /* What the current document is made of. */
    wn_document document;
    wn_buf text, metadata;
    wn_markdown *markdown;
};

wn_document_source_options wn_document_source_options_default(void) {
    return (wn_document_source_options){.size = sizeof(wn_document_source_options),
                                        .max_bytes = (size_t)1 << 30};
}

/* ---- Open and close ------------------------------------------------------------- */

static wn_status inputs_list(wn_document_source *source, const char *const *inputs, size_t ninputs,
                             wn_error *err) {
    if (ninputs == 0) return wn_fail(err, WN_ERR_ARGUMENT, "no input: name a file, a folder or -");
    for (size_t i = 0; i < ninputs; i++) {
        if (!inputs[i] || !inputs[i][0])
            return wn_fail(err, WN_ERR_ARGUMENT, "input %zu is an empty name", i + 1);
        if (strcmp(inputs[i], "-") != 0) {
            WN_TRY(wn_file_list_add(&source->files, inputs[i], i, err));
            continue;
        }
        if (source->has_stdin)
            return wn_fail(err, WN_ERR_ARGUMENT, "- (standard input) is given twice");
        source->has_stdin = true;
        source->stdin_input = i;
    }
    return wn_file_list_finish(&source->files, inputs, ninputs, err);
}

wn_status wn_document_source_open(const char *const *inputs, size_t ninputs,
                                  const wn_document_source_options *options,
                                  wn_document_source **out, wn_error *err) {
    wn_document_source *source = wn_calloc(1, sizeof *source);
    if (!source) return wn_fail_memory(err, sizeof *source);
    source->options = wn_document_source_options_default();
    if (options)
        memcpy(&source->options, options,
               options->size < sizeof *options ? options->size : sizeof *options);
    source->files.warning = source->options.warning;
    source->files.warning_ctx = source->options.warning_ctx;
    wn_status st = inputs_list(source, inputs, ninputs, err);
    if (st != WN_OK) {
        wn_document_source_close(source);
        return st;
    }
    source->position.files_total = source->files.count + source->has_stdin;
    for (size_t i = 0; i < source->files.count; i++)
        source->position.bytes_total += source->files.entries[i].size;
    *out = source;
    return WN_OK;
}

void wn_document_source_close(wn_document_source *source) {
    if (!source) return;
    wn_markdown_free(source->markdown);
    wn_beir_corpus_close(source->corpus);
    wn_file_list_release(&source->files);
    wn_buf_release(&source->text);
    wn_buf_release(&source->metadata);
    wn_free(source);
}

wn_document_position wn_document_source_position(const wn_document_source *source) {
    wn_document_position position = source->position;
    if (source->corpus) position.bytes_done += wn_beir_corpus_bytes(source->corpus);
    return position;
}

/* ---- Skipping --------------------------------------------------------------------- */

static void skip(wn_document_source *source, const wn_error *why) {
    source->position.skipped++;
    if (!source->first_skip.message[0]) source->first_skip = *why;
    if (source->options.warning) source->options.warning(source->options.warning_ctx, why->message);
}

/* ---- Reading a file ------------------------------------------------------------------ */

/* All of a descriptor, at most the limit. Failures are the file's (a reason to skip it), but
 * for WN_ERR_MEMORY. */
static wn_status bytes_read(wn_document_source *source, int fd, const char *name, wn_error *err) {
    wn_buf *text = &source->text;
    wn_buf_clear(text);
    for (;;) {
        WN_TRY(wn_buf_reserve(text, 1 << 16, err));
        ssize_t n = read(fd, text->data + text->len, text->cap - text->len - 1);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return wn_fail_errno(err, name, "skipped, cannot read");
        text->len += (size_t)n;
        text->data[text->len] = 0;
        if (text->len > source->options.max_bytes)
            return wn_fail(err, WN_ERR_FORMAT, "%s: skipped, larger than %zu bytes", name,
                           source->options.max_bytes);
        if (n == 0) return WN_OK;
    }
}

static wn_status file_read(wn_document_source *source, const wn_file_entry *file, wn_error *err) {
    if (file->size > source->options.max_bytes)
        return wn_fail(err, WN_ERR_FORMAT, "%s: skipped, larger than %zu bytes", file->path,
                       source->options.max_bytes);
    int fd = open(file->path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return wn_fail_errno(err, file->path, "skipped, cannot open");
    wn_status st = bytes_read(source, fd, file->path, err);
    close(fd);
    return st;
}

/* Bytes of the BOM at the start; UTF-16, UTF-32 and what is not UTF-8 are refused by name and place. */
static wn_status encoding_check(const wn_buf *text, const char *name, size_t *bom, wn_error *err) {
    static const struct { const char *mark; size_t len; const char *name; } foreign[] = {
        {"\xFF\xFE\0\0", 4, "UTF-32LE"}, {"\0\0\xFE\xFF", 4, "UTF-32BE"},
        {"\xFF\xFE", 2, "UTF-16LE"}, {"\xFE\xFF", 2, "UTF-16BE"}};
    for (size_t i = 0; i < sizeof foreign / sizeof *foreign; i++)
        if (text->len >= foreign[i].len && memcmp(text->data, foreign[i].mark, foreign[i].len) == 0)
            return wn_fail_at(err, WN_ERR_FORMAT, name, 0,
                              "skipped, %s by its byte-order mark: convert it (iconv -f UTF-%s -t UTF-8)",
                              foreign[i].name, foreign[i].len == 4 ? "32" : "16");
    size_t bad = 0;
    if (!wn_utf8_valid(text->data, text->len, &bad))
        return wn_fail_at(err, WN_ERR_FORMAT, name, (int64_t)bad,
                          "skipped, not UTF-8 (0x%02X): convert it (for example iconv -f LATIN1 -t UTF-8)",
                          (unsigned char)text->data[bad]);
    *bom = text->len >= 3 && memcmp(text->data, "\xEF\xBB\xBF", 3) == 0 ? 3 : 0;
    return WN_OK;
}

/* ---- Putting a document together ---------------------------------------------------------- */

static int buffer_write(const char *bytes, size_t len, void *buf) {
    return wn_buf_append(buf, bytes, len, NULL) == WN_OK ? 0 : -1;
}

static wn_status metadata_write(wn_document_source *source, const json_t *object, wn_error *err) {
    wn_buf_clear(&source->metadata);
    if (json_dump_callback(object, buffer_write, &source->metadata, JSON_COMPACT | JSON_SORT_KEYS) != 0)
        return wn_fail_memory(err, source->metadata.len);
    source->document.metadata = source->metadata.data;
    return WN_OK;
}

/* Front matter, and the file's own name (which wins over a "filename" in the front matter). */
static wn_status file_metadata(wn_document_source *source, const char *path, wn_error *err) {
    json_t *object = source->markdown ? json_copy((json_t *)(uintptr_t)wn_markdown_front_matter(source->markdown))
                                      : json_object();
    const char *slash = path ? strrchr(path, '/') : NULL;
    wn_status st = WN_OK;
    if (!object || (path && json_object_set_new(object, "filename", json_string(slash ? slash + 1 : path)) != 0))
        st = wn_fail_memory(err, 256);
    if (st == WN_OK) st = metadata_write(source, object, err);
    json_decref(object);
    return st;
}

static void hash_number(wn_hasher *hasher, uint64_t n) {
    unsigned char bytes[8];
    for (int i = 0; i < 8; i++) bytes[i] = (unsigned char)(n >> (8 * i));
    wn_hasher_update(hasher, bytes, 8);
}

static void hash_part(wn_hasher *hasher, const char *data, size_t len) {
    hash_number(hasher, len);
    wn_hasher_update(hasher, data, len);
}

wn_status wn_document_hash(wn_document *document, wn_error *err) {
    wn_hasher *hasher = wn_hasher_create();
    if (!hasher) return wn_fail_memory(err, 576);
    hash_number(hasher, (uint64_t)document->kind);
    hash_number(hasher, document->body_begin);
    hash_part(hasher, document->title, strlen(document->title));
    hash_part(hasher, document->metadata, strlen(document->metadata));
    hash_part(hasher, document->text.data, document->text.len);
    document->hash = wn_hasher_finish(hasher);
    return WN_OK;
}

/* From source->text to a document. `path` NULL: standard input. */
static wn_status file_document(wn_document_source *source, const char *path, wn_error *err) {
    const char *name = path ? path : "standard input";
    wn_document *document = &source->document;
    size_t bom = 0;
    WN_TRY(encoding_check(&source->text, name, &bom, err));
    wn_str text = {source->text.data, source->text.len};
    *document = (wn_document){.source = path ? path : "-", .origin = "", .title = "", .text = text,
                              .body_begin = bom};
    if (path && wn_file_is_markdown(path)) {
        document->kind = WN_DOCUMENT_MARKDOWN;
        WN_TRY(wn_markdown_parse(text, &source->markdown, err));
        document->markdown = source->markdown;
        document->title = wn_markdown_title(source->markdown);
        document->body_begin = wn_markdown_body_begin(source->markdown);
    }
    if (wn_is_blank(text.data + document->body_begin, text.len - document->body_begin))
        return wn_fail(err, WN_ERR_FORMAT, "%s: skipped, it is empty", name);
    WN_TRY(file_metadata(source, path, err));
    return wn_document_hash(document, err);
}

static wn_status corpus_document(wn_document_source *source, const wn_beir_document *line, wn_error *err) {
    source->document = (wn_document){.kind = WN_DOCUMENT_CORPUS, .source = line->id,
                                     .origin = source->files.entries[source->at].path,
                                     .title = line->title, .text = line->text};
    WN_TRY(metadata_write(source, line->metadata, err));
    return wn_document_hash(&source->document, err);
}

/* ---- The iterator ----------------------------------------------------------------------------- */

static void file_done(wn_document_source *source) {
    source->position.files_done++;
    source->position.bytes_done += source->files.entries[source->at].size;
    source->at++;
}

/* The open corpus's next document; *found is false at its end. */
static wn_status corpus_next(wn_document_source *source, bool *found, wn_error *err) {
    wn_beir_document line;
    wn_beir_event event;
    for (;;) {
        WN_TRY(wn_beir_corpus_next(source->corpus, &event, &line, err));
        if (event == WN_BEIR_SKIPPED) {
            wn_error why = {.code = WN_ERR_FORMAT};
            wn_fail(&why, WN_ERR_FORMAT, "%s", wn_beir_corpus_reason(source->corpus));
            skip(source, &why);
        }
        if (event == WN_BEIR_DOCUMENT) {
            *found = true;
            source->corpus_documents++;
            return corpus_document(source, &line, err);
        }
        if (event == WN_BEIR_END) break;
    }
    wn_beir_corpus_close(source->corpus);
    source->corpus = NULL;
    if (source->corpus_documents == 0) {
        wn_error why;
        wn_fail(&why, WN_ERR_FORMAT, "%s: the corpus has no documents", source->files.entries[source->at].path);
        skip(source, &why);
    }
    file_done(source);
    return WN_OK;
}

/* Reads what a file or standard input (path NULL) holds; trouble with it is a skip. */
static wn_status plain_next(wn_document_source *source, const wn_file_entry *file, bool *found, wn_error *err) {
    wn_error why = {0};
    wn_status st = file ? file_read(source, file, &why)
                        : bytes_read(source, STDIN_FILENO, "standard input", &why);
    if (st == WN_OK) st = file_document(source, file ? file->path : NULL, &why);
    *found = st == WN_OK;
    if (st == WN_ERR_MEMORY) return wn_fail_memory(err, source->text.len);
    if (st != WN_OK) skip(source, &why);
    return WN_OK;
}

static bool is_corpus(const char *path) {
    size_t len = strlen(path);
    return len >= 6 && strcasecmp(path + len - 6, ".jsonl") == 0;
}

/* One step: a document, or a file fewer. */
static wn_status step(wn_document_source *source, bool *found, wn_error *err) {
    if (source->corpus) return corpus_next(source, found, err);
    const wn_file_entry *file = source->at < source->files.count ? &source->files.entries[source->at] : NULL;
    bool stdin_now = source->has_stdin && !source->stdin_done &&
                     (!file || file->input > source->stdin_input);
    if (stdin_now) {
        source->stdin_done = true;
        source->position.files_done++;
        return plain_next(source, NULL, found, err);
    }
    if (!is_corpus(file->path)) {
        wn_status st = plain_next(source, file, found, err);
        file_done(source);
        return st;
    }
    source->corpus_documents = 0;
    wn_error why;
    wn_status st = wn_beir_corpus_open(file->path, source->options.max_bytes, &source->corpus, &why);
    if (st == WN_ERR_MEMORY) return wn_fail_memory(err, 256);
    if (st != WN_OK) {
        skip(source, &why);
        file_done(source);
    }
    return WN_OK;
}

static wn_status nothing_found(const wn_document_source *source, wn_error *err) {
    if (!source->first_skip.message[0]) return wn_fail(err, WN_ERR_NOT_FOUND, "no documents in the inputs");
    wn_error *e = err;
    wn_fail(e, WN_ERR_NOT_FOUND, "no document could be read (%llu skipped): %s",
            (unsigned long long)source->position.skipped, source->first_skip.message);
    if (e) e->offset = source->first_skip.offset, e->line = source->first_skip.line;
    return WN_ERR_NOT_FOUND;
}

wn_status wn_document_source_next(wn_document_source *source, const wn_document **out, wn_error *err) {
    wn_markdown_free(source->markdown);
    source->markdown = NULL;
    if (source->text.cap > KEEP_BUFFER) wn_buf_release(&source->text);
    bool found = false;
    while (!found) {
        bool more = source->at < source->files.count || (source->has_stdin && !source->stdin_done);
        if (!more) break;
        WN_TRY(step(source, &found, err));
        if (!found) {
            wn_markdown_free(source->markdown); /* of a document that was skipped */
            source->markdown = NULL;
        }
    }
    if (!found && source->position.documents == 0) return nothing_found(source, err);
    source->position.documents += found;
    *out = found ? &source->document : NULL;
    return WN_OK;
}

wn_status wn_document_heading_path(const wn_document *document, size_t offset, wn_buf *out,
                                   wn_error *err) {
    if (!document->markdown) return wn_buf_append(out, "", 0, err);
    return wn_markdown_heading_path(document->markdown, offset, out, err);
}
