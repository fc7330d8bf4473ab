/* input.c -- lines and JSON lines from files or standard input.
 * Errors name file and line, and are told here, where both are known. */
#include "cli.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>

struct cli_lines {
    const cli_list *files;
    size_t next_file;
    FILE *stream;
    const char *name;
    long line;
    char *text;
    size_t cap;
    bool failed;
};

cli_lines *cli_lines_open(const cli_list *files) {
    cli_lines *lines = calloc(1, sizeof *lines);
    if (!lines) {
        cli_fail_memory();
        return NULL;
    }
    lines->files = files;
    return lines;
}

static bool open_next(cli_lines *lines) {
    size_t count = lines->files->count;
    if (lines->next_file >= (count ? count : 1)) return false;
    const char *name = count ? lines->files->items[lines->next_file] : "-";
    lines->next_file++;
    lines->line = 0;
    if (strcmp(name, "-") == 0) {
        lines->stream = stdin;
        lines->name = "standard input";
        return true;
    }
    lines->name = name;
    lines->stream = fopen(name, "re");
    if (lines->stream) return true;
    fprintf(stderr, "winnow: %s: cannot open: %s\n", name, strerror(errno));
    lines->failed = true;
    return false;
}

static void close_stream(cli_lines *lines) {
    if (lines->stream && lines->stream != stdin) fclose(lines->stream);
    lines->stream = NULL;
}

const char *cli_lines_next(cli_lines *lines, size_t *len) {
    while (!lines->failed) {
        if (!lines->stream && !open_next(lines)) return NULL;
        errno = 0;
        ssize_t n = getline(&lines->text, &lines->cap, lines->stream);
        if (n < 0) {
            if (ferror(lines->stream) || errno == ENOMEM) {
                fprintf(stderr, "winnow: %s: cannot read: %s\n", lines->name, strerror(errno));
                lines->failed = true;
            }
            close_stream(lines);
            continue;
        }
        lines->line++;
        while (n > 0 && (lines->text[n - 1] == '\n' || lines->text[n - 1] == '\r')) n--;
        lines->text[n] = 0;
        if (strspn(lines->text, " \t") == (size_t)n) continue;
        *len = (size_t)n;
        return lines->text;
    }
    return NULL;
}

static void fail_line(cli_lines *lines, const char *what, const char *detail) {
    fprintf(stderr, "winnow: %s: line %ld: %s%s\n", lines->name, lines->line, what, detail);
    lines->failed = true;
}

json_t *cli_lines_next_object(cli_lines *lines) {
    size_t len;
    const char *text = cli_lines_next(lines, &len);
    if (!text) return NULL;
    json_error_t why;
    json_t *object = json_loadb(text, len, JSON_ALLOW_NUL, &why);
    if (!object) {
        fail_line(lines, "not valid JSON: ", why.text);
        return NULL;
    }
    if (!json_is_object(object)) {
        fail_line(lines, "not a JSON object", "");
        json_decref(object);
        return NULL;
    }
    return object;
}

const char *cli_lines_string(cli_lines *lines, const json_t *object, const char *key, size_t *len) {
    const json_t *value = json_object_get(object, key);
    if (!json_is_string(value)) {
        char what[96];
        snprintf(what, sizeof what, "\"%s\" must be a string", key);
        fail_line(lines, what, value ? "" : "; it is missing");
        return NULL;
    }
    *len = json_string_length(value);
    return json_string_value(value);
}

bool cli_lines_failed(const cli_lines *lines) { return lines->failed; }

void cli_lines_close(cli_lines *lines) {
    if (!lines) return;
    close_stream(lines);
    free(lines->text);
    free(lines);
}
