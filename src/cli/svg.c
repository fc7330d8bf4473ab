/* svg.c -- axes, ticks and labels of a chart, and the escaping of text.
 *
 * Numbers are printed with %.2f at places (a hundredth of a pixel) and with the decimals of their ticks
 * at labels; LC_NUMERIC is never set, so the decimal sign is a point. Ticks step by 1, 2 or 5
 * times a power of ten (Heckbert, "Nice numbers for graph labels", Graphics Gems 1990). */
#include "svg.h"

#include <math.h>
#include <stdarg.h>
#include <string.h>

void html_escape_bytes(FILE *f, const char *text, size_t len) {
    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)text[i];
        switch (c) {
        case '&': fputs("&amp;", f); break;
        case '<': fputs("&lt;", f); break;
        case '>': fputs("&gt;", f); break;
        case '"': fputs("&quot;", f); break;
        case '\'': fputs("&#39;", f); break;
        case '\t': case '\n': fputc(c, f); break;
        case '\r': fputc('\n', f); break;
        default:
            if (c < 0x20 || c == 0x7F) fputs("\xEF\xBF\xBD", f);
            else fputc(c, f);
        }
    }
}

void html_escape(FILE *f, const char *text) { html_escape_bytes(f, text, strlen(text)); }

double svg_at(const svg_axis *axis, double value) {
    double part = (value - axis->low) / (axis->high - axis->low);
    if (part < 0) part = 0;
    if (part > 1) part = 1;
    return axis->from + (axis->root ? sqrt(part) : part) * (axis->to - axis->from);
}

size_t svg_ticks(double low, double high, size_t want, double out[SVG_MAX_TICKS], int *decimals) {
    double rough = (high - low) / (double)(want ? want : 1);
    *decimals = 0;
    if (!isfinite(rough) || rough <= 0) return 0;
    double power = pow(10, floor(log10(rough))), step = power * 10;
    if (rough <= power * 5) step = power * 5;
    if (rough <= power * 2) step = power * 2;
    if (rough <= power) step = power;
    if (step < 1) *decimals = (int)ceil(-log10(step) - 1e-9);
    size_t n = 0;
    for (double i = ceil(low / step - 1e-9); n < SVG_MAX_TICKS && i * step <= high + step * 1e-9; i++)
        out[n++] = i * step + 0.0; /* never -0 */
    return n;
}

void svg_begin(FILE *f, const char *id, int width, int height, const char *title, const char *description) {
    fprintf(f, "<svg id=\"%s\" role=\"img\" aria-labelledby=\"%s-title %s-desc\" viewBox=\"0 0 %d %d\" "
               "xmlns=\"http://www.w3.org/2000/svg\">\n<title id=\"%s-title\">",
            id, id, id, width, height, id);
    html_escape(f, title);
    fprintf(f, "</title>\n<desc id=\"%s-desc\">", id);
    html_escape(f, description);
    fputs("</desc>\n", f);
}

void svg_end(FILE *f) { fputs("</svg>\n", f); }

void svg_text(FILE *f, double x, double y, const char *anchor, const char *class_name, const char *text) {
    fprintf(f, "<text x=\"%.2f\" y=\"%.2f\" text-anchor=\"%s\" class=\"%s\">", x, y, anchor, class_name);
    html_escape(f, text);
    fputs("</text>\n", f);
}

void svg_axis_below(FILE *f, const svg_axis *x, double y, const double *ticks, size_t n, int decimals,
                    const char *name) {
    fprintf(f, "<line class=\"axis\" x1=\"%.2f\" x2=\"%.2f\" y1=\"%.2f\" y2=\"%.2f\"/>\n", x->from, x->to, y, y);
    for (size_t i = 0; i < n; i++) {
        double at = svg_at(x, ticks[i]);
        char label[64];
        snprintf(label, sizeof label, "%.*f", decimals, ticks[i]);
        fprintf(f, "<line class=\"axis\" x1=\"%.2f\" x2=\"%.2f\" y1=\"%.2f\" y2=\"%.2f\"/>\n", at, at, y, y + 4);
        svg_text(f, at, y + 17, "middle", "tick", label);
    }
    svg_text(f, (x->from + x->to) / 2, y + 36, "middle", "name", name);
}

void svg_axis_left(FILE *f, const svg_axis *y, double x, double right, const double *ticks, size_t n,
                   int decimals, const char *name) {
    for (size_t i = 0; i < n; i++) {
        double at = svg_at(y, ticks[i]);
        char label[64];
        snprintf(label, sizeof label, "%.*f", decimals, ticks[i]);
        fprintf(f, "<line class=\"grid\" x1=\"%.2f\" x2=\"%.2f\" y1=\"%.2f\" y2=\"%.2f\"/>\n", x, right, at, at);
        svg_text(f, x - 6, at + 4, "end", "tick", label);
    }
    double top = y->from < y->to ? y->from : y->to;
    svg_text(f, 4, top - 12, "start", "name", name);
}

void svg_title(FILE *f, const char *fmt, ...) {
    char text[1024];
    va_list args;
    va_start(args, fmt);
    int wanted = vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    if (wanted >= (int)sizeof text) { /* cut between characters, not within one */
        size_t end = sizeof text - sizeof "\u2026";
        while (end && ((unsigned char)text[end] & 0xC0) == 0x80) end--;
        memcpy(text + end, "\u2026", sizeof "\u2026");
    }
    fputs("<title>", f);
    html_escape(f, text);
    fputs("</title>", f);
}
