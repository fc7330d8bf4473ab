/* index_schema.h -- the tables of an index file, and the identity that it carries.
 *
 * docs/INDEX_FORMAT.md describes the same for readers who are not this program. A file is
 *
 *     PRAGMA application_id   0x776E6978 ("wnix")
 *     PRAGMA user_version     the schema version, WN_SCHEMA_VERSION
 *     PRAGMA page_size        16384: on the machine this was written on, blocks of embeddings are
 *                             read from the page cache at 5.2 GB/s, against 2.1 with 4096
 *
 *   meta       key -> value: the identity below, one row a member
 *   documents  one row a document
 *       id        INTEGER PRIMARY KEY
 *       source    TEXT     the path as given, "-", or a corpus's _id
 *       origin    TEXT     the corpus file that a line comes from; WN_ORIGIN_PUT; "" for files
 *       kind      INTEGER  wn_document_kind
 *       title     TEXT
 *       metadata  TEXT     a JSON object
 *       hash      BLOB 16  of everything kept of the document: equal means unchanged
 *   chunks     one row a passage
 *       id        INTEGER PRIMARY KEY AUTOINCREMENT: an id is never given to another text
 *       document  INTEGER  -> documents.id
 *       ordinal   INTEGER  from 0 within the document
 *       begin_byte, end_byte  INTEGER  of the document's file (of the text, for a corpus)
 *       heading   TEXT     "Memory > Bandwidth"
 *       content   TEXT
 *       hash      BLOB 16  of what the models read (wn_passage_hash): the key of an embedding
 *       block     INTEGER  -> vectors.block; NULL: not embedded yet
 *   vectors    one row a block of at most 1024 embeddings
 *       block     INTEGER PRIMARY KEY
 *       ids       BLOB  n x int64, little-endian: chunks.id of each row
 *       data      BLOB  n x dim x float32, little-endian, row-major, each row of length 1
 *       hash      BLOB 16  XXH3-128 of ids followed by data
 *   full_text  FTS5, contentless; rowid = chunks.id; columns context, content (full_text.h)
 *
 * Invariants, true after every commit: each document has all of its chunks; each chunk is in
 * full_text; chunks.block names the one block whose ids hold it, or is NULL; meta is whole. So
 * the only thing an interrupted build leaves undone is visible: chunks WHERE block IS NULL,
 * and documents not yet seen.
 *
 * Rejected: one row a vector (a scan reads a B-tree cell each: 0.4 GB/s), embeddings in a file
 * beside (two files can disagree), external-content FTS5 (it can't index a text other than the
 * stored one, which Chinese and Japanese need; and it follows a view that a hostile file chose). */
#ifndef WN_INDEX_SCHEMA_H
#define WN_INDEX_SCHEMA_H

#include "index/database.h"
#include <winnow/index.h>

enum {
    WN_APPLICATION_ID = 0x776E6978,
    WN_SCHEMA_VERSION = 1,
    WN_MAX_DIM = 65536
};

/* What makes embeddings and passages comparable. Owned strings, never NULL after a load. */
typedef struct wn_identity {
    char *model_name, *model_hash, *model_path, *query_prompt, *document_prompt;
    int64_t dim; /* 0: no model, no embeddings */
    int64_t model_max_length;
    int64_t pooling, normalize;
    int64_t split_unit, chunk_size, chunk_overlap;
    char *split_tokenizer; /* hash of its vocabulary, for tokens; else "" */
    int64_t stemming;
} wn_identity;

void wn_identity_release(wn_identity *identity);
/* Reads meta and checks that every value is one we could have written. */
wn_status wn_identity_load(const wn_database *database, wn_identity *out, wn_error *err);
/* Inside a write transaction. */
wn_status wn_identity_store(const wn_database *database, const wn_identity *identity, wn_error *err);

/* WN_ERR_MISMATCH, naming both, where `wanted` would embed or split otherwise than `stored`. */
wn_status wn_identity_check_model(const char *path, const wn_identity *stored,
                                  const wn_identity *wanted, wn_error *err);
wn_status wn_identity_check_split(const char *path, const wn_identity *stored,
                                  const wn_identity *wanted, wn_error *err);

/* True for a file in which nothing was ever committed. */
wn_status wn_schema_is_empty(const wn_database *database, bool *empty, wn_error *err);
/* Creates everything, in one transaction, in an empty file. */
wn_status wn_schema_create(const wn_database *database, const wn_identity *identity, wn_error *err);
/* Application id, version, and every object's definition: FORMAT or UNSUPPORTED. */
wn_status wn_schema_check(const wn_database *database, wn_error *err);

#endif
