/* index_notes.h -- numbers that belong to an index without being part of it: what was calibrated on its
 * queries. They lie in `meta` under "note:KEY"; an older winnow passes over them, and so does the
 * check of identity. */
#ifndef WN_INDEX_INDEX_NOTES_H
#define WN_INDEX_INDEX_NOTES_H
#include <winnow/index.h>

/* WN_ERR_NOT_FOUND when there is none. */
wn_status wn_index_note_read(wn_index *index, const char *key, double *out, wn_error *err);
/* Replaces the one there was. The file must be an index; WN_ERR_BUSY when another process writes. */
wn_status wn_index_note_write(const char *path, const char *key, double value, wn_error *err);
#endif
