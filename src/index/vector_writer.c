/* vector_writer.c -- changing blocks of embeddings through a write-back cache.
 *
 * A build appends for hours and touches one block at a time; an update removes rows all over
 * the file. Eight cached blocks serve both: each is read once a run of changes and written
 * once a commit. The counts of all blocks are known from the start (12 bytes a block), so
 * finding room costs no reading. */
#include "index/vector_store.h"
#include "core/memory.h"

#include <math.h>
#include <string.h>

enum { cache_size = 8 };

typedef struct block_count {
    int64_t block;
    uint32_t count;
} block_count;

typedef struct cached_block {
    int64_t block; /* 0: this place is free */
    uint32_t count;
    bool dirty;
    uint64_t used; /* of the writer's clock: the smallest is evicted */
    int64_t *ids;  /* [WN_VECTOR_BLOCK] */
    float *rows;   /* [WN_VECTOR_BLOCK, dim] */
} cached_block;

struct wn_vector_writer {
    const wn_database *database;
    size_t dim;
    uint64_t clock;
    block_count *blocks; /* ascending by number */
    size_t nblocks, capacity;
    size_t room; /* no block before this one has room */
    cached_block cache[cache_size];
    sqlite3_stmt *read, *write, *erase;
};

static wn_status list_blocks(wn_vector_writer *writer, wn_error *err) {
    sqlite3_stmt *statement = NULL;
    const wn_database *database = writer->database;
    WN_TRY(wn_database_prepare(database, "SELECT block, length(ids) FROM vectors ORDER BY block",
                               &statement, err));
    bool row;
    wn_status st;
    while ((st = wn_database_step(database, statement, &row, err)) == WN_OK && row) {
        int64_t block = sqlite3_column_int64(statement, 0), bytes = sqlite3_column_int64(statement, 1);
        if (block < 1 || block > INT32_MAX || bytes < 8 || bytes % 8 || bytes / 8 > WN_VECTOR_BLOCK_MAX)
            st = wn_database_corrupt(database, err, "block %lld of embeddings has %lld bytes of ids",
                                     (long long)block, (long long)bytes);
        if (st == WN_OK)
            st = wn_grow(&writer->blocks, &writer->capacity, writer->nblocks + 1,
                         sizeof *writer->blocks, err);
        if (st != WN_OK) break;
        writer->blocks[writer->nblocks++] = (block_count){block, (uint32_t)(bytes / 8)};
    }
    sqlite3_finalize(statement);
    return st;
}

wn_status wn_vector_writer_create(const wn_database *database, size_t dim, wn_vector_writer **out,
                                  wn_error *err) {
    wn_vector_writer *writer = wn_calloc(1, sizeof *writer);
    if (!writer) return wn_fail_memory(err, sizeof *writer);
    writer->database = database;
    writer->dim = dim;
    wn_status st = list_blocks(writer, err);
    if (st != WN_OK) {
        wn_vector_writer_free(writer);
        return st;
    }
    *out = writer;
    return WN_OK;
}

void wn_vector_writer_free(wn_vector_writer *writer) {
    if (!writer) return;
    for (size_t i = 0; i < cache_size; i++) {
        wn_free(writer->cache[i].ids);
        wn_free(writer->cache[i].rows);
    }
    sqlite3_finalize(writer->read);
    sqlite3_finalize(writer->write);
    sqlite3_finalize(writer->erase);
    wn_free(writer->blocks);
    wn_free(writer);
}

/* The entry of a block in the list, or where it would stand. */
static size_t locate(const wn_vector_writer *writer, int64_t block) {
    size_t low = 0, high = writer->nblocks;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (writer->blocks[middle].block < block) low = middle + 1;
        else high = middle;
    }
    return low;
}

static wn_status write_back(wn_vector_writer *writer, cached_block *cached, wn_error *err) {
    const wn_database *database = writer->database;
    if (!cached->dirty) return WN_OK;
    if (!cached->count) {
        WN_TRY(wn_database_prepare(database, "DELETE FROM vectors WHERE block = ?", &writer->erase, err));
        sqlite3_bind_int64(writer->erase, 1, cached->block);
        WN_TRY(wn_database_run(database, writer->erase, err));
    } else {
        WN_TRY(wn_database_prepare(
            database, "INSERT OR REPLACE INTO vectors(block, ids, data, hash) VALUES(?, ?, ?, ?)",
            &writer->write, err));
        size_t ids_bytes = cached->count * sizeof *cached->ids;
        size_t row_bytes = cached->count * writer->dim * sizeof *cached->rows;
        wn_hash hash;
        WN_TRY(wn_vector_block_hash(cached->ids, ids_bytes, cached->rows, row_bytes, &hash, err));
        sqlite3_bind_int64(writer->write, 1, cached->block);
        sqlite3_bind_blob64(writer->write, 2, cached->ids, ids_bytes, SQLITE_STATIC);
        sqlite3_bind_blob64(writer->write, 3, cached->rows, row_bytes, SQLITE_STATIC);
        sqlite3_bind_blob64(writer->write, 4, hash.bytes, sizeof hash.bytes, SQLITE_STATIC);
        WN_TRY(wn_database_run(database, writer->write, err));
    }
    cached->dirty = false;
    return WN_OK;
}

wn_status wn_vector_writer_flush(wn_vector_writer *writer, wn_error *err) {
    for (size_t i = 0; i < cache_size; i++)
        if (writer->cache[i].block) WN_TRY(write_back(writer, &writer->cache[i], err));
    return WN_OK;
}

/* A place for a block: a free one, else the least recently used, written back. */
static wn_status claim(wn_vector_writer *writer, cached_block **out, wn_error *err) {
    cached_block *chosen = &writer->cache[0];
    for (size_t i = 0; i < cache_size && chosen->block; i++)
        if (!writer->cache[i].block || writer->cache[i].used < chosen->used) chosen = &writer->cache[i];
    if (chosen->block) WN_TRY(write_back(writer, chosen, err));
    chosen->block = 0;
    if (!chosen->ids) chosen->ids = wn_malloc(WN_VECTOR_BLOCK * sizeof *chosen->ids);
    if (!chosen->rows) chosen->rows = wn_malloc_aligned(WN_VECTOR_BLOCK * writer->dim * sizeof *chosen->rows);
    if (!chosen->ids || !chosen->rows)
        return wn_fail_memory(err, WN_VECTOR_BLOCK * writer->dim * sizeof *chosen->rows);
    *out = chosen;
    return WN_OK;
}

/* Reads a block into a claimed place. Its checksum is checked here too: an update must not
 * launder damaged rows by writing them back with a new one. */
static wn_status read_block(wn_vector_writer *writer, int64_t block, uint32_t count,
                            cached_block *cached, wn_error *err) {
    const wn_database *database = writer->database;
    WN_TRY(wn_database_prepare(database, "SELECT ids, data, hash FROM vectors WHERE block = ?",
                               &writer->read, err));
    sqlite3_bind_int64(writer->read, 1, block);
    bool row;
    WN_TRY(wn_database_step(database, writer->read, &row, err));
    const void *ids, *rows, *stored;
    size_t ids_bytes = count * sizeof(int64_t), row_bytes = count * writer->dim * sizeof(float);
    wn_hash hash;
    wn_status st = row ? WN_OK : wn_database_corrupt(database, err, "block %lld of embeddings is missing",
                                                     (long long)block);
    if (st == WN_OK) st = wn_database_blob(database, writer->read, 0, ids_bytes, &ids, err);
    if (st == WN_OK) st = wn_database_blob(database, writer->read, 1, row_bytes, &rows, err);
    if (st == WN_OK) st = wn_database_blob(database, writer->read, 2, sizeof hash.bytes, &stored, err);
    if (st == WN_OK) st = wn_vector_block_hash(ids, ids_bytes, rows, row_bytes, &hash, err);
    if (st == WN_OK && memcmp(hash.bytes, stored, sizeof hash.bytes) != 0)
        st = wn_database_corrupt(database, err, "block %lld of embeddings fails its checksum",
                                 (long long)block);
    if (st == WN_OK) {
        memcpy(cached->ids, ids, ids_bytes);
        memcpy(cached->rows, rows, row_bytes);
    }
    sqlite3_reset(writer->read);
    return st;
}

static wn_status fetch_block(wn_vector_writer *writer, int64_t block, cached_block **out, wn_error *err) {
    for (size_t i = 0; i < cache_size; i++) {
        if (writer->cache[i].block != block) continue;
        writer->cache[i].used = ++writer->clock;
        *out = &writer->cache[i];
        return WN_OK;
    }
    size_t at = locate(writer, block);
    if (block < 1 || at == writer->nblocks || writer->blocks[at].block != block ||
        writer->blocks[at].count > WN_VECTOR_BLOCK)
        return wn_database_corrupt(writer->database, err, "no block %lld of embeddings", (long long)block);
    cached_block *cached = NULL;
    WN_TRY(claim(writer, &cached, err));
    if (writer->blocks[at].count)
        WN_TRY(read_block(writer, block, writer->blocks[at].count, cached, err));
    cached->block = block;
    cached->count = writer->blocks[at].count;
    cached->dirty = false;
    cached->used = ++writer->clock;
    *out = cached;
    return WN_OK;
}

/* The first block with room, or a new one at the end. */
static wn_status block_with_room(wn_vector_writer *writer, size_t *at, wn_error *err) {
    while (writer->room < writer->nblocks && writer->blocks[writer->room].count >= WN_VECTOR_BLOCK)
        writer->room++;
    if (writer->room == writer->nblocks) {
        WN_TRY(wn_grow(&writer->blocks, &writer->capacity, writer->nblocks + 1, sizeof *writer->blocks,
                       err));
        int64_t last = writer->nblocks ? writer->blocks[writer->nblocks - 1].block : 0;
        writer->blocks[writer->nblocks++] = (block_count){last + 1, 0};
    }
    *at = writer->room;
    return WN_OK;
}

/* In double: the length of the stored row is then 1 within a rounding of each component. A row
 * whose length is 1 already, to a part in a million, is kept bit by bit. */
static wn_status normalise(const float *vector, size_t dim, float *out, wn_error *err) {
    double sum = 0;
    for (size_t i = 0; i < dim; i++) sum += (double)vector[i] * vector[i];
    if (!isfinite(sum))
        return wn_fail(err, WN_ERR_INTERNAL, "the model gave an embedding that is not a number");
    double scale = sum > 0 && fabs(sum - 1) > 2e-6 ? 1 / sqrt(sum) : 1;
    for (size_t i = 0; i < dim; i++) out[i] = (float)(vector[i] * scale);
    return WN_OK;
}

wn_status wn_vector_writer_put(wn_vector_writer *writer, int64_t id, const float *vector,
                               int64_t *block, wn_error *err) {
    size_t at;
    cached_block *cached = NULL;
    WN_TRY(block_with_room(writer, &at, err));
    WN_TRY(fetch_block(writer, writer->blocks[at].block, &cached, err));
    WN_TRY(normalise(vector, writer->dim, cached->rows + cached->count * writer->dim, err));
    cached->ids[cached->count++] = id;
    cached->dirty = true;
    writer->blocks[at].count = cached->count;
    *block = cached->block;
    return WN_OK;
}

static wn_status find_row(wn_vector_writer *writer, int64_t block, int64_t id, cached_block **cached,
                          uint32_t *row, wn_error *err) {
    WN_TRY(fetch_block(writer, block, cached, err));
    for (*row = 0; *row < (*cached)->count; ++*row)
        if ((*cached)->ids[*row] == id) return WN_OK;
    return wn_database_corrupt(writer->database, err, "block %lld does not hold passage %lld",
                               (long long)block, (long long)id);
}

wn_status wn_vector_writer_get(wn_vector_writer *writer, int64_t block, int64_t id, float *out,
                               wn_error *err) {
    cached_block *cached = NULL;
    uint32_t row;
    WN_TRY(find_row(writer, block, id, &cached, &row, err));
    memcpy(out, cached->rows + row * writer->dim, writer->dim * sizeof *out);
    return WN_OK;
}

wn_status wn_vector_writer_remove(wn_vector_writer *writer, int64_t block, int64_t id, wn_error *err) {
    cached_block *cached = NULL;
    uint32_t row;
    WN_TRY(find_row(writer, block, id, &cached, &row, err));
    uint32_t last = --cached->count;
    if (row != last) {
        cached->ids[row] = cached->ids[last];
        memcpy(cached->rows + row * writer->dim, cached->rows + last * writer->dim,
               writer->dim * sizeof *cached->rows);
    }
    cached->dirty = true;
    size_t at = locate(writer, block);
    writer->blocks[at].count = last;
    if (at < writer->room) writer->room = at;
    return WN_OK;
}
