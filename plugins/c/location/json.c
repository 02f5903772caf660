#include "json.h"

#include <stdlib.h>
#include <string.h>

char json_next(struct json *json) {
    while (json->at < json->end && (*json->at == ' ' || *json->at == '\t' || *json->at == '\r' || *json->at == '\n')) json->at++;
    return json->at < json->end ? *json->at : 0;
}

bool json_take(struct json *json, char byte) {
    if (json_next(json) != byte || json->at == json->end) return false;
    json->at++;
    return true;
}

static int hex(char digit) {
    if (digit >= '0' && digit <= '9') return digit - '0';
    if (digit >= 'a' && digit <= 'f') return digit - 'a' + 10;
    if (digit >= 'A' && digit <= 'F') return digit - 'A' + 10;
    return -1;
}

/* The four digits after `\u`; -1 where they are none. */
static long unit(const char *at, const char *end) {
    long unit = 0;
    if (end - at < 4) return -1;
    for (int digit = 0; digit < 4; digit++) {
        int value = hex(at[digit]);
        if (value < 0) return -1;
        unit = unit * 16 + value;
    }
    return unit;
}

bool json_string(struct json *json, struct json_text *text) {
    if (!json_take(json, '"')) return false;
    text->start = json->at;
    while (json->at < json->end) {
        unsigned char byte = (unsigned char)*json->at++;
        if (byte < 0x20) return false;
        if (byte == '"') {
            text->length = (size_t)(json->at - 1 - text->start);
            return true;
        }
        if (byte != '\\') continue;
        if (json->at == json->end) return false;
        char escape = *json->at++;
        if (escape == 'u') {
            if (unit(json->at, json->end) < 0) return false;
            json->at += 4;
        } else if (!escape || !strchr("\"\\/bfnrt", escape)) {
            return false;
        }
    }
    return false;
}

static size_t digits(struct json *json) {
    const char *start = json->at;
    while (json->at < json->end && *json->at >= '0' && *json->at <= '9') json->at++;
    return (size_t)(json->at - start);
}

static bool is_at(const struct json *json, const char *bytes) {
    return json->at < json->end && *json->at && strchr(bytes, *json->at);
}

bool json_number(struct json *json, struct json_text *text) {
    json_next(json);
    text->start = json->at;
    if (is_at(json, "-")) json->at++;
    if (is_at(json, "0")) {
        json->at++;
    } else if (digits(json) == 0) {
        return false;
    }
    if (is_at(json, ".")) {
        json->at++;
        if (digits(json) == 0) return false;
    }
    if (is_at(json, "eE")) {
        json->at++;
        if (is_at(json, "+-")) json->at++;
        if (digits(json) == 0) return false;
    }
    text->length = (size_t)(json->at - text->start);
    return true;
}

bool json_word(struct json *json, const char *word) {
    size_t length = strlen(word);
    json_next(json);
    if ((size_t)(json->end - json->at) < length || memcmp(json->at, word, length) != 0) return false;
    json->at += length;
    return true;
}

/* A value that is neither a list nor an object. */
static bool scalar(struct json *json) {
    struct json_text text;
    switch (json_next(json)) {
        case '"': return json_string(json, &text);
        case 't': return json_word(json, "true");
        case 'f': return json_word(json, "false");
        case 'n': return json_word(json, "null");
        default: return json_number(json, &text);
    }
}

static bool name(struct json *json) {
    struct json_text text;
    return json_string(json, &text) && json_take(json, ':');
}

bool json_skip(struct json *json) {
    /* What closes each bracket that is open. */
    char *open = NULL;
    size_t depth = 0, room = 0;
    bool whole = false;
    for (;;) {
        char next = json_next(json);
        if (next == '[' || next == '{') {
            if (depth == room) {
                room = room ? 2 * room : 64;
                char *more = realloc(open, room);
                if (!more) break;
                open = more;
            }
            json->at++;
            char close = next == '[' ? ']' : '}';
            if (!json_take(json, close)) {
                open[depth++] = close;
                if (close == '}' && !name(json)) break;
                continue;
            }
        } else if (!scalar(json)) {
            break;
        }
        while (depth > 0 && json_take(json, open[depth - 1])) depth--;
        if (depth == 0) {
            whole = true;
            break;
        }
        if (!json_take(json, ',') || (open[depth - 1] == '}' && !name(json))) break;
    }
    free(open);
    return whole;
}

static size_t utf8(long point, char bytes[4]) {
    if (point < 0x80) {
        bytes[0] = (char)point;
        return 1;
    }
    size_t length = point < 0x800 ? 2 : point < 0x10000 ? 3 : 4;
    for (size_t at = length - 1; at > 0; at--, point >>= 6) bytes[at] = (char)(0x80 | (point & 0x3f));
    bytes[0] = (char)((0xf00 >> length & 0xff) | point);
    return length;
}

bool json_unescape(struct json_text text, char *out, size_t room, size_t *length) {
    const char *at = text.start, *end = text.start + text.length;
    *length = 0;
    while (at < end) {
        char bytes[4] = {*at++};
        size_t count = 1;
        if (bytes[0] == '\\') {
            static const char names[] = "bfnrt", values[] = "\b\f\n\r\t";
            char escape = *at++;
            const char *named = strchr(names, escape);
            if (escape == 'u') {
                long point = unit(at, end);
                at += 4;
                if (point >= 0xdc00 && point < 0xe000) return false;
                if (point >= 0xd800 && point < 0xdc00) {
                    long low = end - at >= 6 && at[0] == '\\' && at[1] == 'u' ? unit(at + 2, end) : -1;
                    if (low < 0xdc00 || low >= 0xe000) return false;
                    point = 0x10000 + ((point - 0xd800) << 10) + (low - 0xdc00);
                    at += 6;
                }
                count = utf8(point, bytes);
            } else {
                bytes[0] = named ? values[named - names] : escape;
            }
        }
        for (size_t byte = 0; byte < count; byte++, (*length)++) {
            if (*length < room) out[*length] = bytes[byte];
        }
    }
    return true;
}

bool utf8_valid(const uint8_t *bytes, size_t length) {
    for (size_t at = 0; at < length;) {
        uint8_t first = bytes[at++];
        if (first < 0x80) continue;
        size_t more = first >= 0xf0 ? 3 : first >= 0xe0 ? 2 : 1;
        if (first < 0xc2 || first > 0xf4 || length - at < more) return false;
        uint8_t second = bytes[at];
        if ((first == 0xe0 && second < 0xa0) || (first == 0xed && second > 0x9f) ||
            (first == 0xf0 && second < 0x90) || (first == 0xf4 && second > 0x8f)) {
            return false;
        }
        for (; more > 0; more--) {
            if ((bytes[at++] & 0xc0) != 0x80) return false;
        }
    }
    return true;
}
