#include "sightings.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What follows `"name" :` in the text; null where the name is not there. */
static const char *after(const char *json, const char *name) {
    const char *at = strstr(json, name);
    if (!at) return NULL;
    at += strlen(name);
    at += strspn(at, " \t\r\n");
    if (*at != ':') return NULL;
    return at + 1 + strspn(at + 1, " \t\r\n");
}

/* A number as JSON writes it; strtod alone takes inf, nan and 0x10 too. */
static bool number(const char *json, const char *name, double limit, double *number) {
    const char *at = after(json, name);
    if (!at) return false;
    size_t length = strspn(at, "+-.0123456789eE");
    char *end;
    *number = strtod(at, &end);
    bool whole = length > 0 && end == at + length && *end && strchr(" \t\r\n,}", *end);
    return whole && fabs(*number) <= limit;
}

/* Whether it is UTF-8 without control characters, which JSON escapes. */
static bool is_text(const unsigned char *at, size_t length) {
    const unsigned char *end = at + length;
    while (at < end) {
        unsigned char first = *at++;
        if (first < 0x20) return false;
        if (first < 0x80) continue;
        int more = first >= 0xf0 ? 3 : first >= 0xe0 ? 2 : 1;
        if (first < 0xc2 || first > 0xf4 || end - at < more) return false;
        bool fits = first == 0xe0 ? *at >= 0xa0 : first == 0xed ? *at < 0xa0 : first == 0xf0 ? *at >= 0x90 : first == 0xf4 ? *at < 0x90 : true;
        if (!fits) return false;
        for (; more > 0; more--) {
            if ((*at++ & 0xc0) != 0x80) return false;
        }
    }
    return true;
}

static bool find(const char *json, struct sighting *sighting) {
    const char *id = after(json, "\"patientId\"");
    if (!id || *id != '"') return false;
    size_t length = strcspn(id + 1, "\"\\");
    if (length == 0 || length > MAX_PATIENT_ID || id[1 + length] != '"') return false;
    if (!is_text((const unsigned char *)id + 1, length)) return false;
    memcpy(sighting->patient_id, id + 1, length);
    sighting->patient_id[length] = 0;
    return number(json, "\"lat\"", 90, &sighting->lat) && number(json, "\"lon\"", 180, &sighting->lon);
}

bool sighting_parse(const char *json, size_t length, struct sighting *sighting) {
    /* With a NUL behind it, for strstr and strtod. */
    char *text = malloc(length + 1);
    if (!text) abort();
    memcpy(text, json, length);
    text[length] = 0;
    bool found = find(text, sighting);
    free(text);
    return found;
}

size_t sighting_tell(const struct sighting *sighting, int64_t times, char out[SIGHTING_ROOM]) {
    return (size_t)snprintf(out, SIGHTING_ROOM, "Patient %s, sighting %" PRId64 ", at (%.15g, %.15g)",
                            sighting->patient_id, times, sighting->lat, sighting->lon);
}
