#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sightings.h"

int main(void) {
    static const char json[] = "{\"patientId\": \"123\", \"lat\": 38.7167, \"lon\": -9.1333}";
    static const char *const bad[] = {
        "", "{}", "{\"patientId\": 7, \"lat\": 1, \"lon\": 2}", "{\"patientId\": \"1\", \"lat\": \"x\"}",
        "{\"patientId\": \"\", \"lat\": 1, \"lon\": 2}", "{\"patientId\": \"\\ud800\", \"lat\": 1, \"lon\": 2}",
        "{\"patientId\": \"\xed\xa0\x80\", \"lat\": 1, \"lon\": 2}", "{\"patientId\": \"\xff\", \"lat\": 1, \"lon\": 2}",
        "{\"patientId\": \"1\", \"lat\": NaN, \"lon\": 2}", "{\"patientId\": \"1\", \"lat\": -inf, \"lon\": 2}",
        "{\"patientId\": \"1\", \"lat\": 0x10, \"lon\": 2}", "{\"patientId\": \"1\", \"lat\": 1, \"lon\": 1e999}",
        "{\"patientId\": \"1\", \"lat\": 91, \"lon\": 2}", "{\"patientId\": \"1\", \"lat\": 1, \"lon\": 2x}"};
    static char longest[600] = "{\"lat\": 1, \"lon\": 2, \"patientId\": \"";
    struct sighting sighting;
    char text[SIGHTING_ROOM];
    bool passed = sighting_parse(json, strlen(json), &sighting);
    passed = passed && sighting_tell(&sighting, 2, text) == strlen(text);
    passed = passed && strcmp(text, "Patient 123, sighting 2, at (38.7167, -9.1333)") == 0;
    for (size_t at = 0; at < sizeof bad / sizeof *bad; at++) {
        passed = passed && !sighting_parse(bad[at], strlen(bad[at]), &sighting);
    }
    memset(longest + strlen(longest), '1', MAX_PATIENT_ID);
    strcat(longest, "\"}");
    passed = passed && sighting_parse(longest, strlen(longest), &sighting);
    strcpy(strrchr(longest, '"'), "1\"}");
    passed = passed && !sighting_parse(longest, strlen(longest), &sighting);
    puts(passed ? "passed" : "FAILED");
    return passed ? EXIT_SUCCESS : EXIT_FAILURE;
}
