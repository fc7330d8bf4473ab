/* beir_corpus.c -- corpus.jsonl of the BEIR layout, a line at a time.
 *
 * The file is read in blocks into one buffer that holds the current line and what came after it,
 * so a corpus of any size costs its longest line (and that line's JSON). A line over the limit
 * is passed over without being kept.
 *
 * A wrong line is an error, not a warning: corpora are made by programs, so one bad line
 * means a truncated download or the wrong file, and going on would give a smaller index that
 * looks right. The position in the message is the line, plus the byte in the line where
 * the JSON parser knows it.
 *
 * Departure from BEIR's own loader: it takes `_id`, `title` and `text` and drops all else; we
 * keep `metadata` and unknown members, because --where filters by them. */
#include "index/beir_corpus.h"

#include "core/error.h"
#include "core/json.h"
#include "core/utf8.h"
#include "text/white_space.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

struct wn_beir_corpus {
    int fd;
    char *name;
    size_t max_line;
    wn_buf buf;         /* unread bytes are [at, len) */
    size_t at;
    size_t scanned;     /* no line end before this */
    bool ended;
    int64_t line;
    uint64_t bytes;     /* consumed: lines taken and passed over */
    json_t *root;       /* of the current document */
    wn_buf id, title;
    wn_error reason;
};

wn_status wn_beir_corpus_open_fd(int fd, const char *name, size_t max_line, wn_beir_corpus **out,
                                 wn_error *err) {
    wn_beir_corpus *corpus = wn_calloc(1, sizeof *corpus);
    if (corpus) corpus->name = wn_strdup(name);
    if (!corpus || !corpus->name) {
        wn_free(corpus);
        return wn_fail_memory(err, sizeof *corpus);
    }
    corpus->fd = fd;
    corpus->max_line = max_line;
    *out = corpus;
    return WN_OK;
}

wn_status wn_beir_corpus_open(const char *path, size_t max_line, wn_beir_corpus **out,
                              wn_error *err) {
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return wn_fail_errno(err, path, "cannot open");
    wn_status st = wn_beir_corpus_open_fd(fd, path, max_line, out, err);
    if (st != WN_OK) close(fd);
    return st;
}

void wn_beir_corpus_close(wn_beir_corpus *corpus) {
    if (!corpus) return;
    close(corpus->fd);
    json_decref(corpus->root);
    wn_buf_release(&corpus->buf);
    wn_buf_release(&corpus->id);
    wn_buf_release(&corpus->title);
    wn_free(corpus->name);
    wn_free(corpus);
}

const char *wn_beir_corpus_reason(const wn_beir_corpus *corpus) {
    return corpus->reason.message;
}

uint64_t wn_beir_corpus_bytes(const wn_beir_corpus *corpus) {
    return corpus->bytes;
}

/* ---- Lines --------------------------------------------------------------------- */

/* One more block behind the unread bytes. */
static wn_status block_read(wn_beir_corpus *c, wn_error *err) {
    if (c->at) {
        memmove(c->buf.data, c->buf.data + c->at, c->buf.len - c->at);
        c->buf.len -= c->at;
        c->scanned -= c->at;
        c->at = 0;
    }
    WN_TRY(wn_buf_reserve(&c->buf, 1 << 16, err));
    for (;;) {
        ssize_t n = read(c->fd, c->buf.data + c->buf.len, c->buf.cap - c->buf.len - 1);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return wn_fail_errno(err, c->name, "cannot read");
        c->ended = n == 0;
        c->buf.len += (size_t)n;
        return WN_OK;
    }
}

/* The next line, without its end; *line has data NULL at the end of the file. `over`: the line
 * is longer than max_line and was thrown away. */
static wn_status line_read(wn_beir_corpus *c, wn_str *line, bool *over, wn_error *err) {
    *over = false;
    *line = (wn_str){NULL, 0};
    for (;;) {
        const char *hit = c->scanned < c->buf.len
                              ? memchr(c->buf.data + c->scanned, '\n', c->buf.len - c->scanned) : NULL;
        size_t stop = hit ? (size_t)(hit - c->buf.data) : c->buf.len;
        size_t len = stop - c->at;
        if (hit || c->ended) {
            if (!hit && len == 0 && !*over) return WN_OK;
            *over = *over || len > c->max_line;
            *line = (wn_str){len ? c->buf.data + c->at : "", len};
            c->bytes += len + (hit != NULL);
            c->at = c->scanned = stop + (hit != NULL);
            c->line++;
            return WN_OK;
        }
        if (len > c->max_line) {
            *over = true;
            c->bytes += len;
            c->at = stop;
        }
        c->scanned = stop;
        WN_TRY(block_read(c, err));
    }
}

/* ---- One line's document ----------------------------------------------------------- */

static wn_status fail_member(const wn_beir_corpus *c, const char *key, const char *want, wn_error *err) {
    return wn_fail_line(err, WN_ERR_FORMAT, c->name, c->line,
                        "\"%s\" must be %s: a BEIR corpus line is {\"_id\", \"title\", \"text\"}", key, want);
}

static wn_status id_read(wn_beir_corpus *c, wn_error *err) {
    const json_t *id = json_object_get(c->root, "_id");
    wn_buf_clear(&c->id);
    if (json_is_integer(id))
        return wn_buf_printf(&c->id, err, "%lld", (long long)json_integer_value(id));
    size_t len = json_string_length(id);
    if (!len || memchr(json_string_value(id), 0, len))
        return fail_member(c, "_id", "a string that is not empty (without NUL)", err);
    return wn_buf_append(&c->id, json_string_value(id), len, err);
}

static wn_status title_read(wn_beir_corpus *c, wn_error *err) {
    const json_t *title = json_object_get(c->root, "title");
    wn_buf_clear(&c->title);
    WN_TRY(wn_buf_append(&c->title, "", 0, err));
    if (!title || json_is_null(title)) return WN_OK;
    if (!json_is_string(title)) return fail_member(c, "title", "a string", err);
    WN_TRY(wn_buf_append(&c->title, json_string_value(title), json_string_length(title), err));
    for (size_t i = 0; i < c->title.len; i++)
        if (c->title.data[i] == 0) c->title.data[i] = ' ';
    return WN_OK;
}

/* metadata := metadata, and the members that are none of the four where it lacks them. */
static wn_status metadata_read(wn_beir_corpus *c, json_t **out, wn_error *err) {
    json_t *metadata = json_object_get(c->root, "metadata");
    if (!metadata || json_is_null(metadata)) {
        metadata = json_object();
        if (!metadata || json_object_set_new(c->root, "metadata", metadata) != 0)
            return wn_fail_memory(err, 64);
    } else if (!json_is_object(metadata)) {
        return fail_member(c, "metadata", "an object", err);
    }
    const char *key;
    json_t *value;
    json_object_foreach(c->root, key, value) {
        bool own = strcmp(key, "_id") == 0 || strcmp(key, "title") == 0 || strcmp(key, "text") == 0 ||
                   strcmp(key, "metadata") == 0;
        if (!own && !json_object_get(metadata, key) && json_object_set(metadata, key, value) != 0)
            return wn_fail_memory(err, 64);
    }
    *out = metadata;
    return WN_OK;
}

static wn_status line_parse(wn_beir_corpus *c, wn_str line, wn_error *err) {
    size_t bad = 0;
    wn_error why;
    if (!wn_utf8_valid(line.data, line.len, &bad))
        return wn_fail_line(err, WN_ERR_FORMAT, c->name, c->line,
                            "not UTF-8: byte 0x%02X at byte %zu of the line",
                            (unsigned char)line.data[bad], bad);
    json_decref(c->root);
    c->root = NULL;
    wn_status st = wn_json_parse(c->name, line.data, line.len, &c->root, &why);
    if (st == WN_ERR_MEMORY) return wn_fail_memory(err, line.len);
    if (st != WN_OK)
        return wn_fail_line(err, st, c->name, c->line, "not valid JSON, near byte %lld of the line",
                            (long long)why.offset);
    if (!json_is_object(c->root))
        return wn_fail_line(err, WN_ERR_FORMAT, c->name, c->line,
                            "not a JSON object: a BEIR corpus line is {\"_id\", \"title\", \"text\"}");
    return WN_OK;
}

/* A BOM opens the first line; UTF-16 is refused by its name. */
static wn_status bom_take(const wn_beir_corpus *c, wn_str *line, wn_error *err) {
    if (c->line != 1 || line->len < 2) return WN_OK;
    if (memcmp(line->data, "\xFF\xFE", 2) == 0 || memcmp(line->data, "\xFE\xFF", 2) == 0)
        return wn_fail_line(err, WN_ERR_FORMAT, c->name, c->line,
                            "UTF-16 by its byte-order mark: convert it to UTF-8");
    if (line->len >= 3 && memcmp(line->data, "\xEF\xBB\xBF", 3) == 0)
        *line = (wn_str){line->data + 3, line->len - 3};
    return WN_OK;
}

wn_status wn_beir_corpus_next(wn_beir_corpus *c, wn_beir_event *event, wn_beir_document *out,
                              wn_error *err) {
    wn_str line;
    bool over = false;
    do {
        WN_TRY(line_read(c, &line, &over, err));
        if (!line.data) {
            *event = WN_BEIR_END;
            return WN_OK;
        }
        WN_TRY(bom_take(c, &line, err));
    } while (!over && wn_is_blank(line.data, line.len));
    if (over) {
        wn_fail_line(&c->reason, WN_ERR_FORMAT, c->name, c->line, "skipped, longer than %zu bytes",
                     c->max_line);
        *event = WN_BEIR_SKIPPED;
        return WN_OK;
    }
    json_t *metadata = NULL;
    WN_TRY(line_parse(c, line, err));
    WN_TRY(id_read(c, err));
    WN_TRY(title_read(c, err));
    const json_t *text = json_object_get(c->root, "text");
    if (!json_is_string(text)) return fail_member(c, "text", "a string", err);
    WN_TRY(metadata_read(c, &metadata, err));
    wn_str body = {json_string_value(text), json_string_length(text)};
    wn_str title = {c->title.data, c->title.len};
    if (wn_is_blank(body.data, body.len)) body = title;
    if (wn_is_blank(body.data, body.len)) {
        wn_fail_line(&c->reason, WN_ERR_FORMAT, c->name, c->line, "document %s skipped, it is empty",
                     c->id.data);
        *event = WN_BEIR_SKIPPED;
        return WN_OK;
    }
    *out = (wn_beir_document){c->id.data, c->title.data, body, metadata, c->line};
    *event = WN_BEIR_DOCUMENT;
    return WN_OK;
}
