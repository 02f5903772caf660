/* JSON (RFC 8259), read value by value without a tree: any depth, any size. */
#ifndef JSON_H
#define JSON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct json {
    const char *at, *end;
};

/* A token in the text: of a string what is between its quotes. */
struct json_text {
    const char *start;
    size_t length;
};

/* Past white space; the next byte, 0 at the end. */
char json_next(struct json *json);

/* Takes `byte` if it is the next. */
bool json_take(struct json *json, char byte);

/* The readers below are false where the text is no JSON. */
bool json_string(struct json *json, struct json_text *text);
bool json_number(struct json *json, struct json_text *text);
bool json_word(struct json *json, const char *word);

/* Passes over one value of any kind. */
bool json_skip(struct json *json);

/* A string's text into `out`, at most `room` bytes; `length` is what it takes,
 * whether or not there was room. False for half of a surrogate pair. */
bool json_unescape(struct json_text text, char *out, size_t room, size_t *length);

/* Whether it is UTF-8: no overlong forms, no surrogates. */
bool utf8_valid(const uint8_t *bytes, size_t length);

#endif
