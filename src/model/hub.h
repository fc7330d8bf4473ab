/* hub.h -- wn_model_pull with its timing in the caller's hands, for tests of broken servers. */
#ifndef WN_MODEL_HUB_H
#define WN_MODEL_HUB_H
#include "model/http.h"
#include <winnow/model.h>

/* timing: only connect_s, stall_s, attempts and backoff_ms are read. */
wn_status wn_hub_pull(const char *name, const wn_pull_options *options,
                      const wn_http_config *timing, char **path_out, wn_error *err);
#endif
