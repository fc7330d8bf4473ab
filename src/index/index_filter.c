/* index_filter.c -- filters are about documents, so they are evaluated over documents, once a search.
 *
 * A metadata value is compared in the form a user would type it: a string as it is, a number
 * or true/false as JSON writes it; of a list (tags), any element may match. Evaluating costs
 * one pass over the documents table (a million rows: about half a second when metadata has to
 * be parsed). Rejected for now: an index of metadata values, which would pay from about
 * 100,000 documents on, and grow every file. */
#include "index/index_filter.h"
#include "core/json.h"
#include "core/memory.h"

#include <stdlib.h>
#include <string.h>

static bool value_matches(const char *wanted, const char *actual, size_t actual_len) {
    size_t len = strlen(wanted);
    if (len && wanted[len - 1] == '*')
        return actual_len >= len - 1 && memcmp(actual, wanted, len - 1) == 0;
    return actual_len == len && memcmp(actual, wanted, len) == 0;
}

static bool json_matches(const char *wanted, const json_t *value) {
    if (json_is_string(value))
        return value_matches(wanted, json_string_value(value), json_string_length(value));
    if (json_is_array(value)) {
        size_t i;
        const json_t *element;
        json_array_foreach(value, i, element) {
            /* One level: a list within a list is nobody's tag. */
            if (!json_is_array(element) && json_matches(wanted, element)) return true;
        }
        return false;
    }
    if (!value || json_is_object(value)) return false;
    char text[64];
    size_t len = json_dumpb(value, text, sizeof text, JSON_ENCODE_ANY);
    return len <= sizeof text && value_matches(wanted, text, len);
}

static bool is_column(const wn_filter *filter) {
    return strcmp(filter->key, "source") == 0 || strcmp(filter->key, "title") == 0;
}

static wn_status metadata_matches(const wn_database *database, wn_str metadata,
                                  const wn_filter *filters, size_t nfilters, bool *out, wn_error *err) {
    json_t *object = NULL;
    wn_status st = wn_json_parse(database->path, metadata.data, metadata.len, &object, err);
    if (st != WN_OK) return st;
    *out = true;
    for (size_t i = 0; *out && i < nfilters; i++)
        if (!is_column(&filters[i]))
            *out = json_matches(filters[i].value, json_object_get(object, filters[i].key));
    json_decref(object);
    return WN_OK;
}

static wn_status document_matches(const wn_database *database, sqlite3_stmt *row,
                                  const wn_filter *filters, size_t nfilters, bool *out, wn_error *err) {
    wn_str source, title, metadata;
    WN_TRY(wn_database_text(database, row, 1, &source, err));
    WN_TRY(wn_database_text(database, row, 2, &title, err));
    bool needs_metadata = false;
    *out = true;
    for (size_t i = 0; *out && i < nfilters; i++) {
        if (!is_column(&filters[i])) {
            needs_metadata = true;
            continue;
        }
        const wn_str *actual = filters[i].key[0] == 's' ? &source : &title;
        *out = value_matches(filters[i].value, actual->data, actual->len);
    }
    if (!*out || !needs_metadata) return WN_OK;
    WN_TRY(wn_database_text(database, row, 3, &metadata, err));
    return metadata_matches(database, metadata, filters, nfilters, out, err);
}

static wn_status add_passages(const wn_database *database, sqlite3_stmt *chunks, int64_t document,
                              wn_allowed *out, wn_error *err) {
    bool row;
    wn_status st;
    sqlite3_bind_int64(chunks, 1, document);
    while ((st = wn_database_step(database, chunks, &row, err)) == WN_OK && row) {
        st = wn_grow(&out->ids, &out->capacity, out->count + 1, sizeof *out->ids, err);
        if (st != WN_OK) break;
        out->ids[out->count++] = sqlite3_column_int64(chunks, 0);
    }
    sqlite3_reset(chunks);
    return st;
}

static int compare_ids(const void *a, const void *b) {
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

static wn_status check_filters(const wn_filter *filters, size_t nfilters, wn_error *err) {
    for (size_t i = 0; i < nfilters; i++)
        if (!filters[i].key || !*filters[i].key || !filters[i].value)
            return wn_fail(err, WN_ERR_ARGUMENT, "filter %zu has no key or no value", i + 1);
    return WN_OK;
}

wn_status wn_filter_evaluate(const wn_database *database, const wn_filter *filters, size_t nfilters,
                             wn_allowed *out, wn_error *err) {
    WN_TRY(check_filters(filters, nfilters, err));
    wn_allowed allowed = {0};
    sqlite3_stmt *documents = NULL, *chunks = NULL;
    wn_status st = WN_OK;
    WN_TRY_GOTO(wn_database_prepare(database, "SELECT id, source, title, metadata FROM documents",
                                    &documents, err));
    WN_TRY_GOTO(wn_database_prepare(database, "SELECT id FROM chunks WHERE document = ?", &chunks, err));
    bool row, matches;
    while ((st = wn_database_step(database, documents, &row, err)) == WN_OK && row) {
        WN_TRY_GOTO(document_matches(database, documents, filters, nfilters, &matches, err));
        if (matches)
            WN_TRY_GOTO(add_passages(database, chunks, sqlite3_column_int64(documents, 0), &allowed, err));
    }
    if (st != WN_OK) goto fail;
    if (allowed.count) qsort(allowed.ids, allowed.count, sizeof *allowed.ids, compare_ids);
    *out = allowed;
    allowed = (wn_allowed){0};
fail:
    sqlite3_finalize(documents);
    sqlite3_finalize(chunks);
    wn_allowed_release(&allowed);
    return st;
}

bool wn_allowed_has(const wn_allowed *allowed, int64_t id) {
    return allowed->count &&
           bsearch(&id, allowed->ids, allowed->count, sizeof *allowed->ids, compare_ids) != NULL;
}

void wn_allowed_release(wn_allowed *allowed) {
    wn_free(allowed->ids);
    *allowed = (wn_allowed){0};
}
