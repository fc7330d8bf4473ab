/* grouping.h -- which sequences of a batch go through the layers together, in which order they are begun, and by how many
 * workers. */
#ifndef WN_MODEL_GROUPING_H
#define WN_MODEL_GROUPING_H
#include <winnow/core.h>

/* Zero-initialise. The memory grows to the largest batch seen and is kept. */
typedef struct wn_grouping {
    uint32_t *order; /* [n]: sequences, a group's behind each other */
    uint32_t *ends;  /* [groups]: how many of order[] lie before a group's end */
    size_t groups;
    size_t alone;    /* how many of the groups a worker takes alone, one after the other: the first ones */
    size_t team;     /* workers that take one of the others together: there are (groups - alone) x team <= workers */
    size_t order_cap, ends_cap;
} wn_grouping;

/* Plans starts[n + 1] (ascending) for workers that take one group after the other. A group holds at most
 * wn_grouping_most_tokens(most, longest sequence) tokens. WN_ERR_MEMORY alone. */
wn_status wn_grouping_plan(wn_grouping *grouping, const uint32_t *starts, size_t n, size_t workers, size_t most,
                           wn_error *err);
size_t wn_grouping_most_tokens(size_t most, size_t longest);
void wn_grouping_release(wn_grouping *grouping);
#endif
