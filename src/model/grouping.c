/* grouping.c -- a batch's sequences in groups that waste neither rows nor workers' time.
 *
 * A group goes through all layers on one worker, so a batch takes as long as the worker that ends last, and a group's
 * rows are computed in whole tiles. Groups cut from the batch as it came lost 5 % by the first (50 pairs, two workers: wall
 * time over half the processor time) and 1.5 % of rows by the second; these lose 1.2 % by the first.
 *
 * Ends: sequences are taken longest first, in groups of `most` tokens; of what is left towards the end, less and less,
 * so that the last groups are short ones and workers end nearly together, whatever else a machine does to one of them.
 * Rejected: equal parts made beforehand, which a busy machine's workers do not finish together.
 *
 * Rows: a group's last sequence is, of the next few, the one that fills tiles best.
 *
 * Results do not depend on any of it (session.c). */
#include "model/grouping.h"
#include "core/error.h"
#include "core/memory.h"
#include "kernels/gemm.h"

#include <stdlib.h>

/* CHOICE: sequences that a group's last one is chosen from. With lengths that vary, 16 nearly always hold one that
 * leaves no row over. SMALLEST: the least share, a part of `most`: smaller ones read the weights too often (4: 0.5 % more). */
enum { CHOICE = 16, SMALLEST = 2 };
/* LEAST_SHARE: rows of a team's member, at least: a tile's (12 tokens by two took 0.7 of the time of one). GAIN: teams
 * behind groups taken alone must end sooner by one part in so many. */
enum { LEAST_SHARE = 8, GAIN = 20 };

typedef struct planner {
    const uint32_t *starts;
    uint32_t *order;
    size_t n;
} planner;

static size_t length_of(const planner *p, size_t place) {
    uint32_t sequence = p->order[place];
    return p->starts[sequence + 1] - p->starts[sequence];
}

/* Longest first, a batch's own order among equals. ctx: the planner's starts. */
static int compare_lengths(const void *a, const void *b, void *ctx) {
    const uint32_t *starts = ctx, x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    uint32_t lx = starts[x + 1] - starts[x], ly = starts[y + 1] - starts[y];
    return lx != ly ? (lx < ly ? 1 : -1) : (x > y) - (x < y);
}

/* Behind the group that begins at place `first`, of about `share` tokens. */
static size_t group_end(planner *p, size_t first, size_t share) {
    size_t end = first + 1, sum = length_of(p, first);
    while (end < p->n && 2 * sum + length_of(p, end) <= 2 * share) sum += length_of(p, end++);
    size_t last = end - 1, rest = sum - length_of(p, last), best = last;
    if (last == first) return end;
    for (size_t i = last + 1; i < p->n && i < last + CHOICE; i++)
        if (wn_gemm_waste(rest + length_of(p, i)) < wn_gemm_waste(rest + length_of(p, best))) best = i;
    for (uint32_t chosen = p->order[best]; best > last; best--) {
        p->order[best] = p->order[best - 1];
        p->order[best - 1] = chosen;
    }
    return end;
}

static size_t tokens_of(const wn_grouping *g, const planner *p, size_t group) {
    size_t sum = 0;
    for (size_t i = group ? g->ends[group - 1] : 0; i < g->ends[group]; i++) sum += length_of(p, i);
    return sum;
}

/* When all is done, in tokens, if the first `workers` groups and then the rest, fewer than these, are taken alone: who took
 * the shortest of the first takes the longest of the rest. */
static size_t end_alone(const wn_grouping *g, const planner *p, size_t workers) {
    size_t end = tokens_of(g, p, 0);
    for (size_t i = workers; i < g->groups; i++) {
        size_t both = tokens_of(g, p, 2 * workers - 1 - i) + tokens_of(g, p, i);
        end = both > end ? both : end;
    }
    return end;
}

/* Sets alone and team: whether workers that would be idle help with the last groups. */
static void team_plan(wn_grouping *g, const planner *p, size_t workers) {
    size_t alone = g->groups < workers ? 0 : workers, rest = g->groups - alone, largest = 0;
    g->alone = g->groups;
    g->team = 1;
    if (!rest || rest >= workers) return;
    for (size_t i = alone; i < g->groups; i++) {
        size_t tokens = tokens_of(g, p, i);
        largest = tokens > largest ? tokens : largest;
    }
    size_t team = workers / rest, most = (largest + LEAST_SHARE - 1) / LEAST_SHARE;
    team = team < most ? team : most;
    if (team < 2) return;
    size_t before = alone ? end_alone(g, p, workers) : largest, after = (alone ? tokens_of(g, p, 0) : 0) + largest / team;
    if (before - before / GAIN <= after) return;
    g->alone = alone;
    g->team = team;
}

wn_status wn_grouping_plan(wn_grouping *grouping, const uint32_t *starts, size_t n, size_t workers, size_t most,
                           wn_error *err) {
    WN_TRY(wn_grow(&grouping->order, &grouping->order_cap, n, sizeof *grouping->order, err));
    WN_TRY(wn_grow(&grouping->ends, &grouping->ends_cap, n, sizeof *grouping->ends, err));
    planner p = {.starts = starts, .order = grouping->order, .n = n};
    for (size_t i = 0; i < n; i++) p.order[i] = (uint32_t)i;
    qsort_r(p.order, n, sizeof *p.order, compare_lengths, (void *)(uintptr_t)starts);
    size_t left = starts[n];
    grouping->groups = 0;
    for (size_t first = 0, end; first < n; first = end) {
        size_t share = left / (2 * workers);
        share = share > most ? most : share < most / SMALLEST ? most / SMALLEST : share;
        if (share > left / workers) share = left / workers; /* few tokens: every worker has some */
        end = group_end(&p, first, share);
        for (size_t i = first; i < end; i++) left -= length_of(&p, i);
        grouping->ends[grouping->groups++] = (uint32_t)end;
    }
    team_plan(grouping, &p, workers);
    return WN_OK;
}

size_t wn_grouping_most_tokens(size_t most, size_t longest) {
    /* Of the sequences behind the first each ends at most half of it behind the share. */
    return most > SIZE_MAX / 2 || longest > SIZE_MAX / 2 ? SIZE_MAX : most > longest / 2 ? most + longest / 2 : longest;
}

void wn_grouping_release(wn_grouping *grouping) {
    wn_free(grouping->order);
    wn_free(grouping->ends);
    *grouping = (wn_grouping){0};
}
