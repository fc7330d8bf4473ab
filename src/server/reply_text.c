/* reply_text.c -- see reply_text.h. */
#include "reply_text.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool reserve(srv_text *text, size_t extra) {
    if (text->failed) return false;
    if (text->capacity - text->length > extra) return true;
    size_t capacity = text->capacity ? text->capacity : 4096;
    while (capacity - text->length <= extra) capacity *= 2;
    char *data = realloc(text->data, capacity);
    if (!data) {
        text->failed = true;
        return false;
    }
    text->data = data;
    text->capacity = capacity;
    return true;
}

void srv_text_add(srv_text *text, const char *bytes, size_t length) {
    if (!reserve(text, length)) return;
    memcpy(text->data + text->length, bytes, length);
    text->length += length;
}

void srv_text_printf(srv_text *text, const char *format, ...) {
    char line[512]; /* formats of ours with numbers; strings go through srv_text_json */
    va_list args;
    va_start(args, format);
    int n = vsnprintf(line, sizeof line, format, args);
    va_end(args);
    if (n < 0 || (size_t)n >= sizeof line) text->failed = true;
    else srv_text_add(text, line, (size_t)n);
}

void srv_text_next(srv_text *text) {
    char last = text->length ? text->data[text->length - 1] : '[';
    if (last != '{' && last != '[') srv_text_add(text, ",", 1);
}

void srv_text_key(srv_text *text, const char *key) {
    srv_text_next(text);
    srv_text_printf(text, "\"%s\":", key);
}

static int add_chunk(const char *bytes, size_t length, void *context) {
    srv_text *text = context;
    srv_text_add(text, bytes, length);
    return text->failed ? -1 : 0;
}

void srv_text_json(srv_text *text, json_t *value) {
    if (!value || json_dump_callback(value, add_chunk, text,
                                     JSON_COMPACT | JSON_ENCODE_ANY | JSON_REAL_PRECISION(9)) != 0)
        text->failed = true;
    json_decref(value);
}

void srv_text_string(srv_text *text, const char *bytes, size_t length) {
    json_t *string = json_stringn(bytes, length);
    srv_text_json(text, string ? string : json_string(""));
}

void srv_text_floats(srv_text *text, const float *values, size_t n) {
    if (!reserve(text, n * 18 + 2)) return; /* "-1.23456789e-38," */
    char *at = text->data + text->length;
    *at++ = '[';
    for (size_t i = 0; i < n; i++) {
        if (i) *at++ = ',';
        at += isfinite(values[i]) ? snprintf(at, 18, "%.9g", (double)values[i]) : snprintf(at, 18, "null");
    }
    *at++ = ']';
    text->length = (size_t)(at - text->data);
}

void srv_text_base64(srv_text *text, const unsigned char *bytes, size_t n) {
    static const char DIGITS[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    if (!reserve(text, (n + 2) / 3 * 4 + 2)) return;
    char *at = text->data + text->length;
    *at++ = '"';
    for (size_t i = 0; i < n; i += 3) {
        size_t left = n - i;
        uint32_t bits = (uint32_t)bytes[i] << 16 | (left > 1 ? (uint32_t)bytes[i + 1] << 8 : 0) |
                        (left > 2 ? bytes[i + 2] : 0);
        *at++ = DIGITS[bits >> 18];
        *at++ = DIGITS[bits >> 12 & 63];
        *at++ = left > 1 ? DIGITS[bits >> 6 & 63] : '=';
        *at++ = left > 2 ? DIGITS[bits & 63] : '=';
    }
    *at++ = '"';
    text->length = (size_t)(at - text->data);
}

void srv_text_floats_base64(srv_text *text, const float *values, size_t n) {
    unsigned char *bytes = malloc(n * 4 + 1);
    if (!bytes) {
        text->failed = true;
        return;
    }
    for (size_t i = 0; i < n; i++) {
        uint32_t bits;
        memcpy(&bits, values + i, 4);
        for (int b = 0; b < 4; b++) bytes[4 * i + b] = (unsigned char)(bits >> 8 * b);
    }
    srv_text_base64(text, bytes, n * 4);
    free(bytes);
}

static void add_scaled(srv_text *text, const float *values, size_t n, int shift) {
    float largest = 0;
    for (size_t i = 0; i < n; i++) largest = fmaxf(largest, fabsf(values[i]));
    for (size_t i = 0; i < n; i++) {
        long value = largest > 0 && isfinite(values[i]) ? lrintf(values[i] / largest * 127) : 0;
        srv_text_printf(text, i ? ",%ld" : "%ld", value + shift);
    }
}

static void add_bits(srv_text *text, const float *values, size_t n, int shift) {
    for (size_t i = 0; i < n; i += 8) {
        int byte = 0;
        for (size_t b = 0; b < 8; b++) byte = byte << 1 | (i + b < n && values[i + b] > 0);
        srv_text_printf(text, i ? ",%d" : "%d", byte + shift);
    }
}

void srv_text_vector(srv_text *text, srv_vector_form form, const float *values, size_t n) {
    if (form == SRV_FORM_FLOAT) {
        srv_text_floats(text, values, n);
        return;
    }
    if (form == SRV_FORM_BASE64) {
        srv_text_floats_base64(text, values, n);
        return;
    }
    srv_text_add(text, "[", 1);
    if (form == SRV_FORM_INT8) add_scaled(text, values, n, 0);
    else if (form == SRV_FORM_UINT8) add_scaled(text, values, n, 128);
    else add_bits(text, values, n, form == SRV_FORM_BINARY ? -128 : 0);
    srv_text_add(text, "]", 1);
}

void srv_text_send(srv_text *text, srv_call *call) {
    if (text->failed) srv_call_no_memory(call);
    else srv_respond_bytes(call->response, 200, "application/json", text->data, text->length);
    srv_text_release(text);
}

void srv_text_release(srv_text *text) {
    free(text->data);
    *text = (srv_text){0};
}
