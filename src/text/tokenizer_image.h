/* tokenizer_image.h -- the flat form every tokenizer runs from.
 *
 * tokenizer.json is compiled into one position-independent block; encoding reads
 * only that block. It lives in memory, or mapped from the cache directory (see
 * tokenizer_cache.c): both pass the same validator, so there is one code path.
 *
 *   offset  bytes
 *   0       sizeof(wn_image_header): magic, version, sizes, hashes, options, sections
 *   ...     sections, each at a multiple of 64 bytes, in the order of wn_image_section
 *
 * Numbers are in the machine's byte order; byte_order tells a foreign file apart. */
#ifndef WN_TEXT_TOKENIZER_IMAGE_H
#define WN_TEXT_TOKENIZER_IMAGE_H
#include "core/hash.h"
#include "core/memory.h"
#include "text/trie.h"

#define WN_IMAGE_MAGIC "WNTOKEN"
enum { WN_IMAGE_VERSION = 2, WN_IMAGE_MAX_VOCAB = 1 << 22 };

typedef enum wn_image_section {
    WN_SEC_TEXT,         /* token texts, each followed by a NUL */
    WN_SEC_TEXT_START,   /* uint32_t[vocab + 1]; equal neighbours: no token has that id */
    WN_SEC_TRIE,         /* wn_trie_node[]: token text -> id */
    WN_SEC_SCORES,       /* double[vocab]; Unigram only */
    WN_SEC_ADDED,        /* wn_added_token[] */
    WN_SEC_ADDED_RAW,    /* wn_trie_node[]: found in the source text -> index of ADDED */
    WN_SEC_ADDED_NORM,   /* wn_trie_node[]: found in normalised text -> index of ADDED */
    WN_SEC_STEPS,        /* wn_norm_step[]: Unigram's normaliser */
    WN_SEC_STRINGS,      /* texts the steps and the pre-tokenizer insert */
    WN_SEC_SINGLE,       /* wn_template_op[] */
    WN_SEC_PAIR,         /* wn_template_op[] */
    WN_SEC_CHARSMAP,     /* uint32_t[]: the charsmap's own double array */
    WN_SEC_CHARSMAP_TEXT,/* its replacements, NUL-separated, ends with a NUL */
    WN_SEC_PLAIN,        /* uint8_t[8192]: bit c is set when code point c < 65536 has no rule in the
                          * charsmap and joins no plain neighbour in a grapheme cluster */
    WN_SEC_COUNT
} wn_image_section;
enum { WN_PLAIN_BYTES = 65536 / 8 };

typedef enum wn_model_kind { WN_MODEL_WORDPIECE = 1, WN_MODEL_UNIGRAM = 2 } wn_model_kind;

enum { /* wn_image_header.flags */
    WN_TF_CLEAN = 1 << 0,            /* BertNormalizer's switches */
    WN_TF_CJK = 1 << 1,
    WN_TF_STRIP_ACCENTS = 1 << 2,
    WN_TF_LOWERCASE = 1 << 3,
    WN_TF_WHITESPACE_SPLIT = 1 << 4, /* WhitespaceSplit before Metaspace */
    WN_TF_META_SPLIT = 1 << 5,       /* Metaspace cuts before each of its marks */
    WN_TF_META_ALWAYS = 1 << 6,      /* prepend_scheme */
    WN_TF_META_FIRST = 1 << 7,
};

enum { /* wn_added_token.flags */
    WN_AT_LSTRIP = 1 << 0,
    WN_AT_RSTRIP = 1 << 1,
    WN_AT_SINGLE_WORD = 1 << 2,
};
typedef struct wn_added_token {
    uint32_t id, flags;
} wn_added_token;

typedef enum wn_step_kind {
    WN_STEP_CHARSMAP = 1,
    WN_STEP_REPLACE_SPACES, /* two or more spaces -> string */
    WN_STEP_STRIP_LEFT,
    WN_STEP_STRIP_RIGHT,
} wn_step_kind;
typedef struct wn_norm_step {
    uint32_t kind, string, string_len; /* string: offset in STRINGS */
} wn_norm_step;

enum { WN_OP_A = -1, WN_OP_B = -2 };
typedef struct wn_template_op {
    int32_t id; /* a special token, or WN_OP_A, WN_OP_B */
    uint32_t type_id;
} wn_template_op;

typedef struct wn_image_header {
    char magic[8];
    uint32_t version, byte_order;
    uint64_t size;
    wn_hash source;  /* of tokenizer.json */
    wn_hash payload; /* of every byte after the header */
    uint32_t model, flags, vocab, unk_id;
    uint32_t max_word_chars;      /* WordPiece */
    uint32_t continuation;        /* trie node of "##", or WN_TRIE_NONE */
    uint32_t continuation_string, continuation_len; /* in STRINGS */
    uint32_t meta_string, meta_len;                 /* Metaspace's mark, in STRINGS */
    double unk_score;             /* Unigram */
    struct {
        uint64_t offset, bytes;
    } section[WN_SEC_COUNT];
} wn_image_header;

/* Pointers into a validated image; borrowed from it. */
typedef struct wn_image {
    const wn_image_header *head;
    const char *text, *strings, *charsmap_text;
    const uint32_t *text_start, *charsmap;
    const wn_trie_node *trie, *added_raw, *added_norm;
    const double *scores;
    const wn_added_token *added;
    const wn_norm_step *steps;
    const wn_template_op *single, *pair;
    const uint8_t *plain;
    size_t step_count, added_count, single_count, pair_count, charsmap_count, charsmap_text_len;
} wn_image;

/* Assembling: sections in any order, then seal (lays out, hashes). */
typedef struct wn_image_parts {
    wn_image_header head;
    wn_buf section[WN_SEC_COUNT];
} wn_image_parts;
void wn_image_parts_release(wn_image_parts *parts);
wn_status wn_image_seal(const wn_image_parts *parts, const wn_hash *source, wn_buf *out,
                        wn_error *err);

/* Everything encoding relies on is checked here, once: bytes may come from anyone.
 * data must be 8-byte aligned. FORMAT names `name` and what is wrong. */
wn_status wn_image_open(const char *name, const void *data, size_t size, wn_image *out,
                        wn_error *err);
#endif
