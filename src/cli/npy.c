/* npy.c -- NumPy's .npy format, version 1.0. */
#include "npy.h"

#include <stdint.h>
#include <string.h>

bool npy_write_header(FILE *stream, size_t rows, size_t cols) {
    char header[NPY_HEADER];
    memset(header, ' ', sizeof header);
    memcpy(header, "\x93NUMPY\x01\x00", 8);
    header[8] = (char)((NPY_HEADER - 10) & 0xFF); /* little-endian length of what follows */
    header[9] = (char)((NPY_HEADER - 10) >> 8);
    int n = snprintf(header + 10, sizeof header - 10,
                     "{'descr': '<f4', 'fortran_order': False, 'shape': (%zu, %zu), }", rows, cols);
    header[10 + n] = ' '; /* over snprintf's NUL */
    header[NPY_HEADER - 1] = '\n';
    return fwrite(header, 1, sizeof header, stream) == sizeof header;
}

bool npy_write_rows(FILE *stream, const float *values, size_t count) {
    for (size_t i = 0; i < count; i++) {
        uint32_t bits;
        memcpy(&bits, &values[i], 4);
        unsigned char bytes[4] = {(unsigned char)bits, (unsigned char)(bits >> 8),
                                  (unsigned char)(bits >> 16), (unsigned char)(bits >> 24)};
        if (fwrite(bytes, 1, 4, stream) != 4) return false;
    }
    return true;
}
