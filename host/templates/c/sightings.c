#include "sightings.h"

#include <inttypes.h>
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

static bool number(const char *json, const char *name, double *number) {
    const char *at = after(json, name);
    char *end;
    if (!at || !strchr("-0123456789", *at)) return false;
    *number = strtod(at, &end);
    return end > at;
}

static bool find(const char *json, struct sighting *sighting) {
    const char *id = after(json, "\"patientId\"");
    if (!id || *id != '"') return false;
    size_t length = strcspn(id + 1, "\"\\");
    if (length == 0 || length > MAX_PATIENT_ID || id[1 + length] != '"') return false;
    memcpy(sighting->patient_id, id + 1, length);
    sighting->patient_id[length] = 0;
    return number(json, "\"lat\"", &sighting->lat) && number(json, "\"lon\"", &sighting->lon);
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
