/* page_assets.h -- the files of src/server/page inside the binary; the table is made by tools/embed_page.py. */
#ifndef WN_SERVER_PAGE_ASSETS_H
#define WN_SERVER_PAGE_ASSETS_H

#include <stddef.h>

typedef struct page_asset {
    const char *path;         /* "/" or "/page.css" */
    const char *content_type;
    const char *etag;         /* with its quotes */
    const unsigned char *data;
    size_t length;
} page_asset;
extern const page_asset PAGE_ASSETS[]; /* ends with path NULL */
#endif
