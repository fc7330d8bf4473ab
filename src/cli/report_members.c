/* report_members.c -- members of the report's document, set and read: what report_page.h promises of them. */
#include "report_page.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

void page_out_of_memory(void) {
    cli_fail_memory();
    exit(EXIT_FAILED);
}

void page_set(json_t *object, const char *key, json_t *value) {
    if (!value || json_object_set_new(object, key, value) != 0) page_out_of_memory();
}

void page_append(json_t *array, json_t *value) {
    if (!value || json_array_append_new(array, value) != 0) page_out_of_memory();
}

/* Length of the UTF-8 sequence at s, 0 when it is none. */
static size_t sequence(const unsigned char *s, size_t len) {
    if (s[0] < 0x80) return 1;
    size_t n = s[0] >= 0xF0 ? 4 : s[0] >= 0xE0 ? 3 : 2;
    if (s[0] < 0xC2 || s[0] > 0xF4 || n > len) return 0;
    for (size_t i = 1; i < n; i++)
        if ((s[i] & 0xC0) != 0x80) return 0;
    if (s[0] == 0xE0 && s[1] < 0xA0) return 0;
    if (s[0] == 0xED && s[1] > 0x9F) return 0;
    if (s[0] == 0xF0 && s[1] < 0x90) return 0;
    if (s[0] == 0xF4 && s[1] > 0x8F) return 0;
    return n;
}

json_t *page_text(const char *text, size_t len) {
    json_t *value = json_stringn(text, len);
    if (value) return value;
    char *clean = malloc(3 * len + 1), *end = clean; /* U+FFFD is three bytes */
    if (!clean) page_out_of_memory();
    for (size_t i = 0; i < len;) {
        size_t n = sequence((const unsigned char *)text + i, len - i);
        memcpy(end, n ? text + i : "\xEF\xBF\xBD", n ? n : 3);
        end += n ? n : 3;
        i += n ? n : 1;
    }
    value = json_stringn(clean, (size_t)(end - clean));
    free(clean);
    if (!value) page_out_of_memory();
    return value;
}

json_t *page_real(double value, int decimals) {
    if (!isfinite(value)) return json_null();
    char text[64];
    snprintf(text, sizeof text, "%.*f", decimals, value);
    double rounded = strtod(text, NULL);
    snprintf(text, sizeof text, "%.9g", rounded); /* what will be printed is what is kept */
    return json_real(strtod(text, NULL));
}

double page_number(const json_t *object, const char *key) {
    const json_t *value = json_object_get(object, key);
    return json_is_number(value) ? json_number_value(value) : NAN;
}

const char *page_string(const json_t *object, const char *key) {
    const char *text = json_string_value(json_object_get(object, key));
    return text ? text : "";
}

json_t *page_array(const json_t *object, const char *key) {
    json_t *value = json_object_get(object, key);
    return json_is_array(value) ? value : NULL;
}

bool page_true(const json_t *object, const char *key) { return json_is_true(json_object_get(object, key)); }
