/* output.c -- tables for people, JSON lines for programs. */
#include "cli.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>
#include <utf8proc.h>

bool cli_color(FILE *stream) { return isatty(fileno(stream)) && !getenv("NO_COLOR"); }

int cli_width(FILE *stream) {
    struct winsize size;
    if (isatty(fileno(stream)) && ioctl(fileno(stream), TIOCGWINSZ, &size) == 0 && size.ws_col > 20)
        return size.ws_col;
    return 100;
}

/* Prints what fits into `columns`; returns the columns used. White space runs become one
 * blank, control characters are dropped (a document must not steer the terminal). */
static int print_folded(FILE *stream, const char *text, size_t len, int columns) {
    int used = 0;
    bool pending = false;
    size_t pos = 0;
    while (pos < len) {
        utf8proc_int32_t cp;
        utf8proc_ssize_t n =
            utf8proc_iterate((const utf8proc_uint8_t *)text + pos, (utf8proc_ssize_t)(len - pos), &cp);
        if (n <= 0) n = 1, cp = 0xFFFD;
        const char *bytes = text + pos;
        pos += (size_t)n;
        if (cp == ' ' || cp == '\t' || cp == '\n' || cp == '\r' || cp == 0xA0) {
            pending = used > 0;
            continue;
        }
        if (utf8proc_category(cp) == UTF8PROC_CATEGORY_CC) continue;
        int width = utf8proc_charwidth(cp), need = width + (pending ? 1 : 0);
        if (used + need > columns - 1 && (pos < len || used + need > columns)) {
            fputs("…", stream);
            return used + 1;
        }
        if (pending) fputc(' ', stream);
        if (cp == 0xFFFD) fputs("\xEF\xBF\xBD", stream);
        else fwrite(bytes, 1, (size_t)n, stream);
        used += need;
        pending = false;
    }
    return used;
}

void cli_print_snippet(FILE *stream, const char *text, size_t len, int columns) {
    print_folded(stream, text, len, columns > 8 ? columns : 8);
}

void cli_print_cell(FILE *stream, const char *text, int columns) {
    int used = print_folded(stream, text, strlen(text), columns);
    fprintf(stream, "%*s", columns > used ? columns - used : 0, "");
}

void cli_print_change(FILE *stream, int change, bool color) {
    char text[16];
    if (!change) {
        fputs("    =", stream);
        return;
    }
    snprintf(text, sizeof text, "%s%d", change > 0 ? "▲" : "▼", abs(change));
    int columns = (int)strlen(text) - 2; /* the arrow is three bytes, one column */
    fprintf(stream, "%*s", columns < 5 ? 5 - columns : 0, "");
    if (color) fprintf(stream, "\x1b[%dm%s\x1b[0m", change > 0 ? 32 : 31, text);
    else fputs(text, stream);
}

void cli_print_json(FILE *stream, json_t *object) {
    json_dumpf(object, stream, JSON_COMPACT | JSON_REAL_PRECISION(9));
    fputc('\n', stream);
    json_decref(object);
}

int cli_finish_output(void) {
    if (fflush(stdout) == 0 && !ferror(stdout)) return EXIT_DONE;
    fprintf(stderr, "winnow: cannot write to standard output: %s\n", strerror(errno));
    return EXIT_FAILED;
}
