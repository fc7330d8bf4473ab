/* partial_run.c -- a run file that grows query by query and survives a kill at any byte.
 *
 * The output itself appears only when it is whole: a program that finds OUT may trust it, and what is
 * unfinished has another name. Rejected: appending to OUT with its lines counted at the next
 * start, where a killed run looks like a short one. */
#include "pipeline/partial_run.h"
#include "core/error.h"
#include "core/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

static const char DONE[] = "# done ";
static const size_t MAX_FILE = (size_t)1 << 32;

void wn_partial_run_close(wn_partial_run *p) {
    if (p->path) close(p->fd);
    for (size_t i = 0; i < p->ndone; i++) wn_free(p->done[i]);
    wn_free(p->done);
    wn_free(p->path);
    *p = (wn_partial_run){0};
}

bool wn_partial_run_has(const wn_partial_run *p, const char *query) {
    for (size_t i = 0; i < p->ndone; i++)
        if (strcmp(p->done[i], query) == 0) return true;
    return false;
}

static wn_status write_all(const wn_partial_run *p, const char *data, size_t len, wn_error *err) {
    while (len) {
        ssize_t n = write(p->fd, data, len);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return wn_fail_errno(err, p->path, "cannot write");
        data += n;
        len -= (size_t)n;
    }
    if (fdatasync(p->fd) != 0 && errno != EINVAL) return wn_fail_errno(err, p->path, "cannot sync");
    return WN_OK;
}

static wn_status add_done(wn_partial_run *p, const char *query, size_t len, wn_error *err) {
    WN_TRY(wn_grow(&p->done, &p->cap, p->ndone + 1, sizeof *p->done, err));
    p->done[p->ndone] = wn_strndup(query, len);
    if (!p->done[p->ndone]) return wn_fail_memory(err, len);
    p->ndone++;
    return WN_OK;
}

/* Notes the finished queries; *end is behind the last of them (behind the first line when none is). */
static wn_status scan(wn_partial_run *p, const wn_buf *text, size_t header, size_t *end, wn_error *err) {
    *end = header;
    for (size_t at = header; at < text->len;) {
        const char *line = text->data + at, *stop = memchr(line, '\n', text->len - at);
        if (!stop) return WN_OK;
        size_t len = (size_t)(stop - line);
        at += len + 1;
        if (len <= sizeof DONE - 1 || memcmp(line, DONE, sizeof DONE - 1) != 0) continue;
        WN_TRY(add_done(p, line + sizeof DONE - 1, len - (sizeof DONE - 1), err));
        *end = at;
    }
    return WN_OK;
}

static wn_status resume(wn_partial_run *p, const char *identity, wn_error *err) {
    wn_buf text = {0};
    size_t header = strlen(identity) + 1, end = 0;
    wn_status st = wn_file_read(p->path, MAX_FILE, &text, err);
    const char *newline = st == WN_OK && text.len ? memchr(text.data, '\n', text.len) : NULL;
    if (st == WN_OK && newline &&
        ((size_t)(newline - text.data) + 1 != header || memcmp(text.data, identity, header - 1) != 0))
        st = wn_fail(err, WN_ERR_MISMATCH, "%s: was begun with other inputs or settings; finish it with those, "
                                           "or delete it", p->path);
    if (st == WN_OK && newline) st = scan(p, &text, header, &end, err);
    wn_buf_release(&text);
    WN_TRY(st);
    /* Killed within the first line, or new: begin anew. */
    if (ftruncate(p->fd, (off_t)end) != 0) return wn_fail_errno(err, p->path, "cannot cut");
    if (end) return WN_OK;
    WN_TRY(write_all(p, identity, header - 1, err));
    return write_all(p, "\n", 1, err);
}

wn_status wn_partial_run_open(const char *out, const char *identity, wn_partial_run *partial, wn_error *err) {
    wn_partial_run p = {0};
    wn_buf path = {0};
    WN_TRY(wn_buf_printf(&path, err, "%s.partial", out));
    int fd = open(path.data, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
    if (fd < 0) {
        wn_status st = wn_fail_errno(err, path.data, "cannot open");
        wn_buf_release(&path);
        return st;
    }
    p.fd = fd;
    p.path = path.data; /* the buffer is ours from here on */
    wn_status st = flock(fd, LOCK_EX | LOCK_NB) == 0
                       ? resume(&p, identity, err)
                       : wn_fail(err, WN_ERR_BUSY, "%s: another process writes it", p.path);
    if (st == WN_OK) *partial = p;
    else wn_partial_run_close(&p);
    return st;
}

wn_status wn_partial_run_append(wn_partial_run *p, const char *query, wn_buf *lines, wn_error *err) {
    WN_TRY(wn_buf_printf(lines, err, "%s%s\n", DONE, query));
    WN_TRY(write_all(p, lines->data, lines->len, err));
    return add_done(p, query, strlen(query), err);
}

wn_status wn_partial_run_finish(wn_partial_run *p, const char *out, wn_error *err) {
    wn_buf text = {0};
    WN_TRY(wn_file_read(p->path, MAX_FILE, &text, err));
    size_t kept = 0;
    for (size_t at = 0; at < text.len;) {
        const char *stop = memchr(text.data + at, '\n', text.len - at);
        size_t len = stop ? (size_t)(stop - text.data) - at + 1 : text.len - at;
        if (text.data[at] != '#') {
            memmove(text.data + kept, text.data + at, len);
            kept += len;
        }
        at += len;
    }
    wn_status st = wn_file_write_atomic(out, text.len ? text.data : "", kept, err);
    wn_buf_release(&text);
    if (st == WN_OK) unlink(p->path);
    return st;
}
