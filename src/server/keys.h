/* keys.h -- API keys from a file: one a line, "KEY" or "NAME KEY", # comments. Names are for the access log and
 * for fairness; a key without one is called by its line, "key3". */
#ifndef WN_SERVER_KEYS_H
#define WN_SERVER_KEYS_H

#include <winnow.h>

typedef struct srv_keys srv_keys;
/* A file without a key is WN_ERR_FORMAT: it would lock everybody out. */
wn_status srv_keys_read(const char *path, srv_keys **out, wn_error *err);
void srv_keys_free(srv_keys *keys);
/* The name of the key, or NULL. Takes the same time whichever key it is or is not. Borrowed. */
const char *srv_keys_check(const srv_keys *keys, const char *key);
#endif
