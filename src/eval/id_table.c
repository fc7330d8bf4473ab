/* id_table.c -- strings kept once, numbered in the order they came. */
#include "eval/id_table.h"
#include "core/error.h"

#include <stdlib.h>
#include <string.h>

enum { FIRST_BLOCK = 1 << 10, LAST_BLOCK = 1 << 20 };

char *wn_pool_text_add(wn_pool_text *pool, const char *text, size_t len) {
    if (len > SIZE_MAX / 2) return NULL;
    if (!pool->nblocks || pool->size - pool->used < len + 1) {
        size_t size = pool->nblocks ? 2 * pool->size : FIRST_BLOCK;
        if (size > LAST_BLOCK) size = LAST_BLOCK;
        if (size < len + 1) size = len + 1;
        if (wn_grow(&pool->blocks, &pool->cap, pool->nblocks + 1, sizeof *pool->blocks, NULL))
            return NULL;
        char *block = wn_malloc(size);
        if (!block) return NULL;
        pool->blocks[pool->nblocks++] = block;
        pool->used = 0;
        pool->size = size;
    }
    char *copy = pool->blocks[pool->nblocks - 1] + pool->used;
    if (len) memcpy(copy, text, len);
    copy[len] = 0;
    pool->used += len + 1;
    return copy;
}

void wn_pool_text_release(wn_pool_text *pool) {
    for (size_t i = 0; i < pool->nblocks; i++) wn_free(pool->blocks[i]);
    wn_free(pool->blocks);
    *pool = (wn_pool_text){0};
}

/* FNV-1a, then a finisher: its low bits alone are weak for ids that differ in the last digit. */
static uint64_t hash_name(const char *name, size_t len) {
    uint64_t h = 0xcbf29ce484222325u;
    for (size_t i = 0; i < len; i++) h = (h ^ (unsigned char)name[i]) * 0x100000001b3u;
    h ^= h >> 32;
    h *= 0x9e3779b97f4a7c15u;
    return h ^ h >> 29;
}

static size_t find_slot(const wn_id_table *table, const char *name, size_t len) {
    size_t mask = table->nslots - 1;
    size_t slot = hash_name(name, len) & mask;
    for (; table->slots[slot]; slot = (slot + 1) & mask) {
        const char *have = table->names[table->slots[slot] - 1];
        if (strncmp(have, name, len) == 0 && !have[len]) break;
    }
    return slot;
}

static wn_status grow_slots(wn_id_table *table, wn_error *err) {
    size_t nslots = table->nslots ? 2 * table->nslots : 16;
    uint32_t *slots = wn_calloc(nslots, sizeof *slots);
    if (!slots) return wn_fail_memory(err, nslots * sizeof *slots);
    wn_free(table->slots);
    table->slots = slots;
    table->nslots = nslots;
    for (size_t i = 0; i < table->count; i++)
        slots[find_slot(table, table->names[i], strlen(table->names[i]))] = (uint32_t)i + 1;
    return WN_OK;
}

wn_status wn_id_table_add(wn_id_table *table, const char *name, size_t len, uint32_t *number,
                          bool *added, wn_error *err) {
    if (2 * (table->count + 1) > table->nslots) WN_TRY(grow_slots(table, err));
    size_t slot = find_slot(table, name, len);
    bool fresh = !table->slots[slot];
    if (fresh) {
        if (table->count >= UINT32_MAX - 1)
            return wn_fail(err, WN_ERR_UNSUPPORTED, "more than four thousand million ids");
        WN_TRY(wn_grow(&table->names, &table->cap, table->count + 1, sizeof *table->names, err));
        char *copy = wn_pool_text_add(&table->text, name, len);
        if (!copy) return wn_fail_memory(err, len);
        table->names[table->count++] = copy;
        table->slots[slot] = (uint32_t)table->count;
    }
    *number = table->slots[slot] - 1;
    if (added) *added = fresh;
    return WN_OK;
}

bool wn_id_table_find(const wn_id_table *table, const char *name, size_t len, uint32_t *number) {
    if (!table->nslots) return false;
    size_t slot = find_slot(table, name, len);
    if (!table->slots[slot]) return false;
    *number = table->slots[slot] - 1;
    return true;
}

void wn_id_table_release(wn_id_table *table) {
    wn_free(table->names);
    wn_free(table->slots);
    wn_pool_text_release(&table->text);
    *table = (wn_id_table){0};
}

static int by_name(const void *a, const void *b, void *names) {
    const char *const *name = names;
    return strcmp(name[*(const uint32_t *)a], name[*(const uint32_t *)b]);
}

wn_status wn_order_by_name(const wn_id_table *table, uint32_t **out, wn_error *err) {
    uint32_t *order = wn_calloc(table->count, sizeof *order);
    if (!order) return wn_fail_memory(err, table->count * sizeof *order);
    for (size_t i = 0; i < table->count; i++) order[i] = (uint32_t)i;
    if (table->count)
        qsort_r(order, table->count, sizeof *order, by_name, (void *)(uintptr_t)table->names);
    *out = order;
    return WN_OK;
}
