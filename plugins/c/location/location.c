#include "location.h"

#include <math.h>
#include <string.h>

#include "json.h"
#include "number.h"

static const char NOT_JSON[] = "the value is not JSON";
static const char NOT_A_PATIENT[] = "`patientId` must be 1 to 512 bytes of text or a 64-bit integer";
static const char NOT_A_TIME[] = "`ts` must be an integer: milliseconds since the Unix epoch, from 0";

enum kind { ABSENT, NULL_VALUE, TEXT, NUMBER, OTHER };

/* A field as it stands in the text. */
struct field {
    enum kind kind;
    struct json_text text;
};

enum name { PATIENT_ID, LAT, LON, TS, FIELDS };

static const char *const NAMES[FIELDS] = {"patientId", "lat", "lon", "ts"};
static const char *const TWICE[FIELDS] = {
    "`patientId` is there twice: expected it once", "`lat` is there twice: expected it once",
    "`lon` is there twice: expected it once", "`ts` is there twice: expected it once"};

static bool read_field(struct json *json, struct field *field) {
    switch (json_next(json)) {
        case '"': field->kind = TEXT; return json_string(json, &field->text);
        case 'n': field->kind = NULL_VALUE; return json_word(json, "null");
        case 't': case 'f': case '[': case '{': field->kind = OTHER; return json_skip(json);
        default: field->kind = NUMBER; return json_number(json, &field->text);
    }
}

/* The four fields of an object. */
static const char *read_object(struct json *json, struct field fields[FIELDS]) {
    const char *twice = NULL;
    if (json_take(json, '}')) return NULL;
    do {
        struct json_text quoted;
        char name[16];
        size_t length;
        if (!json_string(json, &quoted) || !json_take(json, ':')) return NOT_JSON;
        if (!json_unescape(quoted, name, sizeof name, &length)) return NOT_JSON;
        int known = 0;
        while (known < FIELDS && (strlen(NAMES[known]) != length || memcmp(NAMES[known], name, length) != 0)) known++;
        if (known == FIELDS) {
            if (!json_skip(json)) return NOT_JSON;
            continue;
        }
        if (fields[known].kind != ABSENT) twice = TWICE[known];
        if (!read_field(json, &fields[known])) return NOT_JSON;
    } while (json_take(json, ','));
    return json_take(json, '}') ? twice : NOT_JSON;
}

/* An integer of 64 bits; `-0` is a fraction. */
static bool integer(const struct field *field, bool *negative, uint64_t *magnitude) {
    const char *at = field->text.start, *end = at + field->text.length;
    *negative = *at == '-';
    if (*negative) at++;
    *magnitude = 0;
    for (; at < end; at++) {
        unsigned digit = (unsigned)(*at - '0');
        if (digit > 9 || *magnitude > (UINT64_MAX - digit) / 10) return false;
        *magnitude = 10 * *magnitude + digit;
    }
    return !*negative || (*magnitude > 0 && *magnitude <= (uint64_t)1 << 63);
}

static const char *read_patient(const struct field *field, struct location *location) {
    bool negative;
    uint64_t id;
    switch (field->kind) {
        case ABSENT: case NULL_VALUE: return "`patientId` is missing or null";
        case TEXT:
            if (!json_unescape(field->text, location->patient_id, MAX_PATIENT_ID, &location->patient_id_len)) {
                return NOT_JSON;
            }
            break;
        case NUMBER:
            if (!integer(field, &negative, &id)) return NOT_A_PATIENT;
            location->patient_id_len = field->text.length;
            memcpy(location->patient_id, field->text.start, field->text.length);
            break;
        default: return NOT_A_PATIENT;
    }
    bool fits = location->patient_id_len >= 1 && location->patient_id_len <= MAX_PATIENT_ID;
    return fits ? NULL : NOT_A_PATIENT;
}

static const char *read_degrees(const struct field *field, bool latitude, double *degrees) {
    switch (field->kind) {
        case ABSENT: case NULL_VALUE: return latitude ? "`lat` is missing or null" : "`lon` is missing or null";
        case NUMBER: break;
        default:
            return latitude ? "`lat` must be a number of degrees, without quotes"
                            : "`lon` must be a number of degrees, without quotes";
    }
    *degrees = number_read(field->text.start, field->text.length);
    if (isinf(*degrees)) return NOT_JSON;
    if (fabs(*degrees) > (latitude ? 90 : 180)) {
        return latitude ? "`lat` must be from -90 to 90 degrees" : "`lon` must be from -180 to 180 degrees";
    }
    return NULL;
}

const char *location_parse(const uint8_t *value, size_t length, struct location *location) {
    if (length == 0) return "the value is empty: expected a JSON object";
    if (!utf8_valid(value, length)) return "the value is not UTF-8: expected a JSON object";
    struct json json = {(const char *)value, (const char *)value + length};
    struct field fields[FIELDS] = {0};
    const char *problem = "the value is JSON but not an object";
    if (json_take(&json, '{')) {
        problem = read_object(&json, fields);
    } else if (!json_skip(&json)) {
        return NOT_JSON;
    }
    if (problem != NOT_JSON && (json_next(&json), json.at != json.end)) return NOT_JSON;
    if (problem) return problem;

    if ((problem = read_patient(&fields[PATIENT_ID], location))) return problem;
    if ((problem = read_degrees(&fields[LAT], true, &location->lat))) return problem;
    if ((problem = read_degrees(&fields[LON], false, &location->lon))) return problem;
    const struct field *ts = &fields[TS];
    bool negative = false;
    location->has_ts = ts->kind != ABSENT && ts->kind != NULL_VALUE;
    bool whole = ts->kind == NUMBER && integer(ts, &negative, &location->ts) && !negative;
    return location->has_ts && !whole ? NOT_A_TIME : NULL;
}

const char *location_check_tombstone(const uint8_t *key, size_t length) {
    bool fine = length >= 1 && length <= MAX_PATIENT_ID && utf8_valid(key, length);
    return fine ? NULL : "a tombstone's key must be a patient id: 1 to 512 bytes of UTF-8";
}
