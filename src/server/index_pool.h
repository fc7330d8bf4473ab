/* index_pool.h -- one index file and its open handles. */
#ifndef WN_SERVER_INDEX_POOL_H
#define WN_SERVER_INDEX_POOL_H

#include "service.h"

/* name: NAME=FILE, or FILE, whose base name without .wnindex is the name. Opens one handle to see that it works. */
wn_status srv_index_open(const char *given, srv_index **out, wn_error *err);
void srv_index_close(srv_index *index);
const char *srv_index_name(const srv_index *index);
#endif
