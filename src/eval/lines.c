/* lines.c -- a text file as lines, a line as fields, a field as a number.
 *
 * A regular file is mapped: ten million lines are 500 MB, which a growing buffer would hold twice
 * for a moment. A pipe (`winnow eval --run <(zcat run.gz)`) is read whole.
 *
 * Numbers. strtod is right but slow and asks the host's locale; a Python program that set a German
 * one would read 0.5 as 0. Up to 15 digits and a small power of ten, mantissa and power are both
 * exact doubles and one division or multiplication rounds correctly (Clinger 1990); that is nearly
 * every score. The rest goes to strtod_l with the "C" locale. */
#include "eval/lines.h"
#include "core/error.h"

#include <locale.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

wn_status wn_lines_open(const char *path, wn_lines *out, wn_error *err) {
    *out = (wn_lines){.path = path};
    bool standard = strcmp(path, "-") == 0;
    if (standard) out->path = "standard input";
    if (!standard && wn_file_exists(path)) {
        WN_TRY(wn_map_open(path, &out->map, err));
        out->next = (const char *)out->map.data;
        out->end = out->next + out->map.size;
        return WN_OK;
    }
    WN_TRY(wn_file_read(standard ? "/dev/stdin" : path, SIZE_MAX / 2, &out->buffer, err));
    out->next = out->buffer.data;
    out->end = out->next + out->buffer.len;
    return WN_OK;
}

void wn_lines_over(const char *name, const void *bytes, size_t len, wn_lines *out) {
    *out = (wn_lines){.path = name, .next = bytes, .end = (const char *)bytes + len};
}

void wn_lines_release(wn_lines *lines) {
    wn_map_close(&lines->map);
    wn_buf_release(&lines->buffer);
    *lines = (wn_lines){0};
}

bool wn_lines_next(wn_lines *lines, wn_str *out) {
    if (lines->next == lines->end) return false;
    size_t left = (size_t)(lines->end - lines->next);
    const char *stop = memchr(lines->next, '\n', left);
    size_t len = stop ? (size_t)(stop - lines->next) : left;
    *out = (wn_str){lines->next, len};
    lines->next += len + (stop ? 1 : 0);
    lines->line++;
    if (out->len && out->data[out->len - 1] == '\r') out->len--;
    return true;
}

static bool is_space(char c) { return c == ' ' || (c >= '\t' && c <= '\r'); }

bool wn_lines_next_content(wn_lines *lines, wn_str *out) {
    while (wn_lines_next(lines, out)) {
        size_t i = 0;
        while (i < out->len && is_space(out->data[i])) i++;
        if (i < out->len && out->data[i] != '#') return true;
    }
    return false;
}

bool wn_field_next(wn_str *rest, wn_str *out) {
    size_t i = 0;
    while (i < rest->len && is_space(rest->data[i])) i++;
    size_t begin = i;
    while (i < rest->len && !is_space(rest->data[i])) i++;
    *out = (wn_str){rest->data + begin, i - begin};
    *rest = (wn_str){rest->data + i, rest->len - i};
    return out->len > 0;
}

bool wn_field_next_tab(wn_str *rest, wn_str *out) {
    if (!rest->data) return false;
    const char *tab = rest->len ? memchr(rest->data, '\t', rest->len) : NULL;
    size_t len = tab ? (size_t)(tab - rest->data) : rest->len;
    *out = (wn_str){rest->data, len};
    *rest = tab ? (wn_str){tab + 1, rest->len - len - 1} : (wn_str){NULL, 0};
    return true;
}

static locale_t c_locale;
static void make_locale(void) { c_locale = newlocale(LC_ALL_MASK, "C", (locale_t)0); }

/* Rare: long mantissas, large exponents, infinities. Hexadecimal and NaN are refused. */
static bool real_slowly(wn_str field, double *out) {
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    char text[128];
    if (field.len >= sizeof text) return false;
    for (size_t i = 0; i < field.len; i++)
        if (!field.data[i] || field.data[i] == 'x' || field.data[i] == 'X') return false;
    memcpy(text, field.data, field.len);
    text[field.len] = 0;
    pthread_once(&once, make_locale);
    char *end;
    double value = c_locale ? strtod_l(text, &end, c_locale) : strtod(text, &end);
    if (!field.len || is_space(text[0]) || *end || value != value) return false;
    *out = value;
    return true;
}

bool wn_field_real(wn_str field, double *out) {
    static const double TEN[] = {1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,
                                 1e8,  1e9,  1e10, 1e11, 1e12, 1e13, 1e14, 1e15};
    size_t i = 0;
    bool negative = field.len && field.data[0] == '-';
    if (field.len && (field.data[0] == '-' || field.data[0] == '+')) i++;
    uint64_t mantissa = 0;
    int digits = 0, decimals = 0;
    bool point = false;
    for (; i < field.len && digits <= 15; i++) {
        char c = field.data[i];
        if (c == '.' && !point) {
            point = true;
            continue;
        }
        if (c < '0' || c > '9') break;
        mantissa = 10 * mantissa + (uint64_t)(c - '0');
        digits++;
        decimals += point ? 1 : 0;
    }
    if (i < field.len || !digits || digits > 15) return real_slowly(field, out);
    double value = (double)mantissa / TEN[decimals];
    *out = negative ? -value : value;
    return true;
}

bool wn_field_integer(wn_str field, int32_t *out) {
    size_t i = 0;
    bool negative = field.len && field.data[0] == '-';
    if (field.len && (field.data[0] == '-' || field.data[0] == '+')) i++;
    int64_t value = 0;
    size_t begin = i;
    for (; i < field.len && field.data[i] >= '0' && field.data[i] <= '9'; i++) {
        value = 10 * value + (field.data[i] - '0');
        if (value > INT32_MAX) return false;
    }
    if (i == begin) return false;
    if (i < field.len && field.data[i] == '.')
        for (i++; i < field.len && field.data[i] == '0';) i++;
    if (i < field.len) return false;
    *out = (int32_t)(negative ? -value : value);
    return true;
}

wn_status wn_check_id(const wn_lines *lines, wn_str id, const char *what, wn_error *err) {
    if (!id.len)
        return wn_fail_line(err, WN_ERR_FORMAT, lines->path, lines->line, "%s is missing", what);
    if (memchr(id.data, 0, id.len))
        return wn_fail_line(err, WN_ERR_FORMAT, lines->path, lines->line,
                            "%s holds a NUL byte; is this a text file?", what);
    return WN_OK;
}

/* Columns are set apart by white space, so an id can't hold any (a path as document id may). */
wn_status wn_check_column(const char *id, const char *path, wn_error *err) {
    if (id[strcspn(id, " \t\n\v\f\r")])
        return wn_fail(err, WN_ERR_ARGUMENT,
                       "%s: the id \"%s\" holds white space, which the TREC format can't write",
                       path, id);
    return WN_OK;
}
