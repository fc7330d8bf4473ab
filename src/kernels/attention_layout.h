/* attention_layout.h -- what all tiers of the attention kernel agree on about their scratch. */
#ifndef WN_KERNELS_ATTENTION_LAYOUT_H
#define WN_KERNELS_ATTENTION_LAYOUT_H

/* Keys and head columns are padded to the widest tier's panel: two AVX-512 vectors. */
#define WN_ATTENTION_PAD 32
/* Most queries a tier handles at a time. */
#define WN_ATTENTION_ROWS 8
#endif
