/* npy.h -- NumPy's .npy format, version 1.0, f32, C order.
 * https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html */
#ifndef WN_CLI_NPY_H
#define WN_CLI_NPY_H
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

enum { NPY_HEADER = 128 };
/* Writes the 128-byte header of an array [rows, cols]. The length is fixed, so that it can be
 * written again when the number of rows is known. */
bool npy_write_header(FILE *stream, size_t rows, size_t cols);
/* Little-endian f32 values. */
bool npy_write_rows(FILE *stream, const float *values, size_t count);
#endif
