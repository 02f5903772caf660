#include "gregor.h"

#include <stdlib.h>
#include <string.h>

static void *allocate(size_t length) {
    void *block = malloc(length > 0 ? length : 1);
    /* A trap: the host tries the record once more on a fresh instance. */
    if (!block) abort();
    return block;
}

gregor_bytes gregor_copy(const void *bytes, size_t length) {
    gregor_bytes copy = {true, {allocate(length), length}};
    memcpy(copy.val.ptr, bytes, length);
    return copy;
}

gregor_bytes gregor_none(void) {
    return (gregor_bytes){0};
}

bool gregor_emit(gregor_outputs *outputs, gregor_input *record, gregor_bytes key, gregor_bytes value) {
    gregor_output *output = allocate(sizeof *output);
    memset(output, 0, sizeof *output);
    output->key = key;
    output->value = value;
    output->headers = record->headers;
    record->headers = (gregor_plugin_types_list_header_t){0};
    outputs->ptr = output;
    outputs->len = 1;
    return true;
}

static bool fail(gregor_failure *failure, uint8_t tag, const char *reason) {
    gregor_bytes text = gregor_copy(reason, strlen(reason));
    failure->tag = tag;
    failure->val.reject = (plugin_string_t){text.val.ptr, text.val.len};
    return false;
}

bool gregor_reject(gregor_failure *failure, const char *reason) {
    return fail(failure, GREGOR_PLUGIN_TYPES_FAILURE_REJECT, reason);
}

bool gregor_retry(gregor_failure *failure, const char *reason) {
    return fail(failure, GREGOR_PLUGIN_TYPES_FAILURE_RETRY, reason);
}
