/* keys.c -- keys are kept and compared as SHA-256: equal lengths, compared in constant time, all of them each time,
 * and no key in a core dump. No salt and no slow hash: keys are random and long, unlike passwords; one under
 * LEAST_KEY bytes is refused. */
#include "keys.h"
#include "http.h"

#include <errno.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { HASH = 32, MOST_KEYS = 10000, LEAST_KEY = 8 };

typedef struct key {
    unsigned char hash[HASH];
    char *name;
} key;

struct srv_keys {
    key *items;
    size_t count;
};

static bool hash_of(const char *text, unsigned char out[HASH]) {
    return EVP_Digest(text, strlen(text), out, NULL, EVP_sha256(), NULL) == 1;
}

static wn_status add(srv_keys *keys, const char *path, size_t line, const char *name, const char *text,
                     wn_error *err) {
    char plain[32];
    if (strlen(text) < LEAST_KEY)
        return srv_fail(err, WN_ERR_FORMAT, "%s, line %zu: a key has at least %d characters", path, line, LEAST_KEY);
    if (keys->count == MOST_KEYS)
        return srv_fail(err, WN_ERR_UNSUPPORTED, "%s has over %d keys", path, MOST_KEYS);
    snprintf(plain, sizeof plain, "key%zu", line);
    key *items = realloc(keys->items, (keys->count + 1) * sizeof *items);
    if (items) keys->items = items;
    key *k = items ? &items[keys->count] : NULL;
    if (!k || !(k->name = strdup(name ? name : plain))) return srv_fail(err, WN_ERR_MEMORY, "out of memory");
    keys->count++;
    if (!hash_of(text, k->hash)) return srv_fail(err, WN_ERR_INTERNAL, "libcrypto has no SHA-256");
    return WN_OK;
}

static wn_status read_line(srv_keys *keys, const char *path, size_t line, char *text, wn_error *err) {
    char *save = NULL, *first = strtok_r(text, " \t\r\n", &save);
    if (!first || *first == '#') return WN_OK;
    char *second = strtok_r(NULL, " \t\r\n", &save);
    if (second && *second == '#') second = NULL;
    char *third = second ? strtok_r(NULL, " \t\r\n", &save) : NULL;
    if (third && *third != '#')
        return srv_fail(err, WN_ERR_FORMAT, "%s, line %zu: expected KEY or NAME KEY", path, line);
    return second ? add(keys, path, line, first, second, err) : add(keys, path, line, NULL, first, err);
}

wn_status srv_keys_read(const char *path, srv_keys **out, wn_error *err) {
    FILE *file = fopen(path, "re");
    if (!file) return srv_fail(err, errno == ENOENT ? WN_ERR_NOT_FOUND : WN_ERR_IO, "%s: %s", path, strerror(errno));
    srv_keys *keys = calloc(1, sizeof *keys);
    wn_status st = keys ? WN_OK : srv_fail(err, WN_ERR_MEMORY, "out of memory");
    char *text = NULL;
    size_t cap = 0, line = 0;
    while (st == WN_OK && getline(&text, &cap, file) >= 0) st = read_line(keys, path, ++line, text, err);
    if (st == WN_OK && ferror(file)) st = srv_fail(err, WN_ERR_IO, "%s: %s", path, strerror(errno));
    if (st == WN_OK && !keys->count)
        st = srv_fail(err, WN_ERR_FORMAT, "%s holds no key: nobody could use the server", path);
    if (text) OPENSSL_cleanse(text, cap);
    free(text);
    fclose(file);
    if (st != WN_OK) {
        srv_keys_free(keys);
        return st;
    }
    *out = keys;
    return WN_OK;
}

void srv_keys_free(srv_keys *keys) {
    if (!keys) return;
    for (size_t i = 0; i < keys->count; i++) free(keys->items[i].name);
    free(keys->items);
    free(keys);
}

const char *srv_keys_check(const srv_keys *keys, const char *text) {
    unsigned char hash[HASH];
    const char *found = NULL;
    if (!text || !hash_of(text, hash)) return NULL;
    for (size_t i = 0; i < keys->count; i++)
        if (CRYPTO_memcmp(hash, keys->items[i].hash, HASH) == 0) found = keys->items[i].name;
    return found;
}
