/* Says in plain words where a patient is. The README has the fields and what
 * happens to bad input. */

#include <stdio.h>
#include <string.h>

#include "gregor.h"
#include "location.h"
#include "number.h"

static gregor_bytes sentence(const struct location *location) {
    char text[MAX_PATIENT_ID + 2 * NUMBER_PLAIN_ROOM + 64], lat[NUMBER_PLAIN_ROOM], lon[NUMBER_PLAIN_ROOM];
    number_plain(location->lat, lat);
    number_plain(location->lon, lon);
    size_t length = (size_t)snprintf(text, sizeof text, "Patient ");
    memcpy(text + length, location->patient_id, location->patient_id_len);
    length += location->patient_id_len;
    length += (size_t)snprintf(text + length, sizeof text - length, " at location (%s, %s)", lat, lon);
    return gregor_copy(text, length);
}

bool exports_gregor_plugin_processor_process(gregor_input *record, gregor_outputs *outputs, gregor_failure *failure) {
    struct location location;
    const char *problem = record->value.is_some
        ? location_parse(record->value.val.ptr, record->value.val.len, &location)
        : location_check_tombstone(record->key.val.ptr, record->key.is_some ? record->key.val.len : 0);
    if (!problem) {
        gregor_emit(outputs, record, record->key, record->value.is_some ? sentence(&location) : gregor_none());
        record->key = gregor_none();
    } else {
        gregor_reject(failure, problem);
    }
    exports_gregor_plugin_processor_input_free(record);
    return !problem;
}
