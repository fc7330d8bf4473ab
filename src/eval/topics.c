/* topics.c -- queries with ids: tab-separated, JSON lines or plain lines.
 *
 * JSON lines take BEIR's names ("_id", "text") and those of the demo's labelled queries ("query",
 * "expected_source", one source or a list). Queries without an id are numbered by their place. */
#include "core/error.h"
#include "core/json.h"
#include "eval/collections.h"

#include <stdio.h>
#include <string.h>

typedef struct {
    wn_str text;
    size_t first, count; /* expected sources */
} stored_topic;

struct wn_topics {
    wn_id_table ids;
    stored_topic *topics; /* [ids.count] */
    size_t cap;
    const char **expected;
    size_t nexpected, expected_cap;
    wn_pool_text text;
};

static bool is_blank(wn_str line) {
    for (size_t i = 0; i < line.len; i++)
        if (line.data[i] != ' ' && line.data[i] != '\t') return false;
    return true;
}

static wn_status add_expected(wn_topics *topics, stored_topic *t, const json_t *source,
                              const wn_lines *lines, wn_error *err) {
    const char *name = json_string_value(source);
    if (!name || !*name || strlen(name) != json_string_length(source))
        return wn_fail_line(err, WN_ERR_FORMAT, lines->path, lines->line,
                            "\"expected_source\" must be a file name or a list of them");
    WN_TRY(wn_grow(&topics->expected, &topics->expected_cap, topics->nexpected + 1,
                   sizeof *topics->expected, err));
    const char *copy = wn_pool_text_add(&topics->text, name, strlen(name));
    if (!copy) return wn_fail_memory(err, strlen(name));
    topics->expected[topics->nexpected++] = copy;
    t->count++;
    return WN_OK;
}

static wn_status add_topic(wn_topics *topics, const wn_lines *lines, wn_str id, wn_str text,
                           const json_t *expected, wn_error *err) {
    uint32_t number;
    bool fresh;
    if (is_blank(text))
        return wn_fail_line(err, WN_ERR_FORMAT, lines->path, lines->line, "the query is empty");
    WN_TRY(wn_check_id(lines, id, "the query's id", err));
    WN_TRY(wn_id_table_add(&topics->ids, id.data, id.len, &number, &fresh, err));
    if (!fresh)
        return wn_fail_line(err, WN_ERR_FORMAT, lines->path, lines->line,
                            "the id \"%.100s\" was given before", topics->ids.names[number]);
    WN_TRY(wn_grow(&topics->topics, &topics->cap, number + 1, sizeof *topics->topics, err));
    char *copy = wn_pool_text_add(&topics->text, text.data, text.len);
    if (!copy) return wn_fail_memory(err, text.len);
    stored_topic *t = &topics->topics[number];
    *t = (stored_topic){{copy, text.len}, topics->nexpected, 0};
    if (!json_is_array(expected))
        return !expected || json_is_null(expected) ? WN_OK
                                                   : add_expected(topics, t, expected, lines, err);
    for (size_t i = 0; i < json_array_size(expected); i++)
        WN_TRY(add_expected(topics, t, json_array_get(expected, i), lines, err));
    return WN_OK;
}

/* A string, or a whole number as some exports write ids. */
static bool id_member(const json_t *object, char *number, size_t size, wn_str *out) {
    static const char *const KEYS[] = {"_id", "id", "qid", "query_id"};
    for (size_t i = 0; i < sizeof KEYS / sizeof *KEYS; i++) {
        const json_t *id = json_object_get(object, KEYS[i]);
        if (json_is_string(id)) {
            *out = (wn_str){json_string_value(id), json_string_length(id)};
            return true;
        }
        if (json_is_integer(id)) {
            int n = snprintf(number, size, "%lld", (long long)json_integer_value(id));
            *out = (wn_str){number, (size_t)n};
            return true;
        }
    }
    return false;
}

static wn_status read_json(wn_topics *topics, const wn_lines *lines, wn_str line, wn_error *err) {
    json_t *object = NULL;
    wn_error why;
    if (wn_json_parse(lines->path, line.data, line.len, &object, &why) != WN_OK) {
        if (why.code == WN_ERR_MEMORY) return wn_fail_memory(err, line.len);
        return wn_fail_line(err, WN_ERR_FORMAT, lines->path, lines->line, "not valid JSON");
    }
    char number[32];
    wn_str id = {0}, text = {0};
    if (!id_member(object, number, sizeof number, &id)) {
        int n = snprintf(number, sizeof number, "%zu", topics->ids.count + 1);
        id = (wn_str){number, (size_t)n};
    }
    const json_t *query = json_object_get(object, "query");
    if (!query) query = json_object_get(object, "text");
    wn_status st;
    if (!json_is_string(query)) {
        st = wn_fail_line(err, WN_ERR_FORMAT, lines->path, lines->line,
                          "a query is an object with \"text\" or \"query\", a string");
    } else {
        text = (wn_str){json_string_value(query), json_string_length(query)};
        st = add_topic(topics, lines, id, text, json_object_get(object, "expected_source"), err);
    }
    json_decref(object);
    return st;
}

static wn_status read_tsv(wn_topics *topics, const wn_lines *lines, wn_str line, wn_error *err) {
    const char *tab = memchr(line.data, '\t', line.len);
    if (!tab)
        return wn_fail_line(err, WN_ERR_FORMAT, lines->path, lines->line,
                            "no tab between the query's id and its text");
    wn_str id = {line.data, (size_t)(tab - line.data)};
    wn_str text = {tab + 1, line.len - id.len - 1};
    return add_topic(topics, lines, id, text, NULL, err);
}

static wn_status read_plain(wn_topics *topics, const wn_lines *lines, wn_str line, wn_error *err) {
    char number[32];
    int n = snprintf(number, sizeof number, "%zu", topics->ids.count + 1);
    return add_topic(topics, lines, (wn_str){number, (size_t)n}, line, NULL, err);
}

static wn_topics_format guess_format(wn_str line) {
    size_t i = 0;
    while (i < line.len && (line.data[i] == ' ' || line.data[i] == '\t')) i++;
    if (line.data[i] == '{') return WN_TOPICS_JSONL;
    return memchr(line.data, '\t', line.len) ? WN_TOPICS_TSV : WN_TOPICS_LINES;
}

static wn_status read_lines(wn_topics *topics, wn_lines *lines, wn_topics_format format,
                            wn_error *err) {
    for (wn_str line; wn_lines_next(lines, &line);) {
        if (is_blank(line)) continue;
        if (format == WN_TOPICS_AUTO) format = guess_format(line);
        if (format == WN_TOPICS_JSONL) WN_TRY(read_json(topics, lines, line, err));
        else if (format == WN_TOPICS_TSV) WN_TRY(read_tsv(topics, lines, line, err));
        else WN_TRY(read_plain(topics, lines, line, err));
    }
    if (!topics->ids.count) return wn_fail(err, WN_ERR_FORMAT, "%s: no query in it", lines->path);
    return WN_OK;
}

static wn_status create(wn_lines *lines, wn_topics_format format, wn_topics **out, wn_error *err) {
    wn_topics *topics = wn_calloc(1, sizeof *topics);
    if (!topics) return wn_fail_memory(err, sizeof *topics);
    wn_status st = read_lines(topics, lines, format, err);
    if (st == WN_OK) *out = topics;
    else wn_topics_free(topics);
    return st;
}

wn_status wn_topics_read(const char *path, wn_topics_format format, wn_topics **out,
                         wn_error *err) {
    wn_lines lines;
    wn_status st = wn_lines_open(path, &lines, err);
    if (st == WN_OK) st = create(&lines, format, out, err);
    wn_lines_release(&lines);
    return st;
}

wn_status wn_topics_parse(const char *name, wn_str text, wn_topics_format format, wn_topics **out,
                          wn_error *err) {
    wn_lines lines;
    wn_lines_over(name, text.len ? text.data : "", text.len, &lines);
    return create(&lines, format, out, err);
}

void wn_topics_free(wn_topics *topics) {
    if (!topics) return;
    wn_id_table_release(&topics->ids);
    wn_pool_text_release(&topics->text);
    wn_free(topics->topics);
    wn_free(topics->expected);
    wn_free(topics);
}

size_t wn_topics_count(const wn_topics *topics) { return topics->ids.count; }

wn_topic wn_topics_get(const wn_topics *topics, size_t i) {
    const stored_topic *t = &topics->topics[i];
    return (wn_topic){topics->ids.names[i], t->text,
                      t->count ? topics->expected + t->first : NULL, t->count};
}

bool wn_topics_find(const wn_topics *topics, const char *id, size_t *out) {
    uint32_t number;
    if (!wn_id_table_find(&topics->ids, id, strlen(id), &number)) return false;
    *out = number;
    return true;
}

const char *wn_topic_document(const wn_topic *topic, const char *source) {
    size_t len = strlen(source);
    for (size_t i = 0; i < topic->nexpected; i++) {
        const char *expected = topic->expected[i];
        size_t n = strlen(expected);
        if (n > len || strcmp(source + len - n, expected) != 0) continue;
        if (n == len || source[len - n - 1] == '/') return expected;
    }
    return source;
}
