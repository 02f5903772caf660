/* Counts how often each patient was seen. */

#include <stdlib.h>
#include <string.h>

#include "plugin.h" /* made of the WIT by `gregor plugin build` */
#include "sightings.h"

/* What is returned is freed by the bindings, and so comes from malloc. */
static plugin_list_u8_t copy(const char *text, size_t length) {
    plugin_list_u8_t bytes = {malloc(length + 1), length};
    if (!bytes.ptr) abort();
    memcpy(bytes.ptr, text, length);
    return bytes;
}

static bool reject(exports_gregor_plugin_processor_failure_t *failure, const char *reason) {
    plugin_list_u8_t text = copy(reason, strlen(reason));
    failure->tag = GREGOR_PLUGIN_TYPES_FAILURE_REJECT;
    failure->val.reject = (plugin_string_t){text.ptr, text.len};
    return false;
}

static bool seen(exports_gregor_plugin_processor_input_t *record,
                 exports_gregor_plugin_processor_list_output_t *outputs,
                 exports_gregor_plugin_processor_failure_t *failure) {
    struct sighting sighting;
    if (!sighting_parse((const char *)record->value.val.ptr, record->value.val.len, &sighting)) {
        return reject(failure, "not a location: patientId, lat and lon are needed");
    }
    char entry[sizeof "sightings/" + sizeof sighting.patient_id] = "sightings/";
    strcat(entry, sighting.patient_id);
    plugin_string_t patient = {(uint8_t *)entry, strlen(entry)};
    gregor_plugin_cache_error_t error;
    int64_t times;
    if (!gregor_plugin_cache_increment(&patient, 1, &times, &error)) {
        gregor_plugin_cache_error_free(&error);
        return reject(failure, "the cache did not take the count");
    }
    char text[SIGHTING_ROOM];
    size_t length = sighting_tell(&sighting, times, text);
    exports_gregor_plugin_processor_output_t *output = calloc(1, sizeof *output);
    if (!output) abort();
    output->key = record->key;
    record->key.is_some = false; /* it is the output's now */
    output->value = (plugin_option_list_u8_t){true, copy(text, length)};
    outputs->ptr = output;
    outputs->len = 1;
    return true;
}

bool exports_gregor_plugin_processor_process(exports_gregor_plugin_processor_input_t *record,
                                             exports_gregor_plugin_processor_list_output_t *outputs,
                                             exports_gregor_plugin_processor_failure_t *failure) {
    /* Without a value a tombstone: no outputs. */
    bool done = !record->value.is_some || seen(record, outputs, failure);
    exports_gregor_plugin_processor_input_free(record);
    return done;
}
