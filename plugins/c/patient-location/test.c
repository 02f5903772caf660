/* The rules of a location, and numbers as text: `cc -I../location test.c ../location/?*.c -lm`. */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "location.h"
#include "number.h"

static int failed;

#define CHECK(what) \
    do { \
        if (!(what)) { \
            printf("%s:%d: %s\n", __FILE__, __LINE__, #what); \
            failed++; \
        } \
    } while (0)

static const char *parsed(const char *value, struct location *location) {
    return location_parse((const uint8_t *)value, strlen(value), location);
}

static void a_location_is_read(void) {
    struct location location;
    CHECK(!parsed("\t{ \"lat\" :\r\n 3.87167e1 ,\"lon\":-91333e-4,\"patientId\":\"\\u0031\\ud83d\\ude00\" , \"ts\":5 }\n", &location));
    CHECK(location.lat == 38.7167 && location.lon == -9.1333 && location.has_ts && location.ts == 5);
    CHECK(location.patient_id_len == 5 && memcmp(location.patient_id, "1\xf0\x9f\x98\x80", 5) == 0);
}

static void other_fields_are_passed_over_at_any_depth(void) {
    size_t depth = 300000;
    char *value = malloc(2 * depth + 100);
    size_t length = (size_t)sprintf(value, "{\"deep\":");
    memset(value + length, '[', depth);
    memset(value + length + depth, ']', depth);
    length += 2 * depth;
    sprintf(value + length, ",\"patientId\":7,\"lat\":1,\"lon\":2}");
    struct location location;
    CHECK(!parsed(value, &location));
    CHECK(location.patient_id_len == 1 && location.patient_id[0] == '7' && !location.has_ts);
    free(value);
}

static void a_bad_value_is_refused_for_its_own_reason(void) {
    static const char *const cases[][2] = {
        {"", "the value is empty: expected a JSON object"},
        {"\xff", "the value is not UTF-8: expected a JSON object"},
        {"{\"patientId\":\"1\",\"lat\":01,\"lon\":2}", "the value is not JSON"},
        {"{\"patientId\":\"1\",\"lat\":1,\"lon\":2,\"a\":[1}}", "the value is not JSON"},
        {"{\"patientId\":\"\\ud800\",\"lat\":1,\"lon\":2}", "the value is not JSON"},
        {"[]", "the value is JSON but not an object"},
        {"{\"patientId\":\"1\",\"lat\":1,\"l\\u0061t\":1,\"lon\":2}", "`lat` is there twice: expected it once"},
        {"{\"patientId\":\"1\",\"lat\":1}", "`lon` is missing or null"},
        {"{\"patientId\":18446744073709551616,\"lat\":1,\"lon\":2}",
         "`patientId` must be 1 to 512 bytes of text or a 64-bit integer"},
        {"{\"patientId\":\"1\",\"lat\":90.1,\"lon\":2}", "`lat` must be from -90 to 90 degrees"},
        {"{\"patientId\":\"1\",\"lat\":1,\"lon\":2,\"ts\":-0}",
         "`ts` must be an integer: milliseconds since the Unix epoch, from 0"},
    };
    for (size_t at = 0; at < sizeof cases / sizeof *cases; at++) {
        struct location location;
        const char *problem = parsed(cases[at][0], &location);
        CHECK(problem && strcmp(problem, cases[at][1]) == 0);
    }
}

static void a_number_is_written_in_its_shortest_form(void) {
    static const struct {
        double number;
        const char *text;
    } cases[] = {{38.7167, "38.7167"}, {38, "38"}, {100, "100"}, {-180, "-180"}, {0.30000000000000004, "0.30000000000000004"},
                 {1.5e-7, "0.00000015"}, {-1e-5, "-0.00001"}, {0, "0"}, {-0.0, "-0"}};
    for (size_t at = 0; at < sizeof cases / sizeof *cases; at++) {
        char text[NUMBER_PLAIN_ROOM];
        number_plain(cases[at].number, text);
        CHECK(strcmp(text, cases[at].text) == 0);
    }
    char text[NUMBER_PLAIN_ROOM];
    CHECK(number_plain(5e-324, text) == 326 && text[325] == '5');
}

static void what_is_written_reads_back_as_the_same_number(void) {
    /* Beside powers of two and ten, halfway between two doubles, and past what is quick. */
    static const char *const texts[] = {"1",        "9007199254740991", "0.00001",      "0.000010000000000000003", "4503599627370496",
                                        "0.1",      "0.125",            "2.5",          "13.218475453782636",      "179.99999999999997",
                                        "1048576",  "1e-300",           "1.5e+300",     "9007199254740992"};
    for (size_t at = 0; at < sizeof texts / sizeof *texts; at++) {
        char text[NUMBER_ROOM];
        double number = number_read(texts[at], strlen(texts[at]));
        CHECK(number == strtod(texts[at], NULL));
        CHECK(number_shortest(number, text) == (int)strlen(text));
        CHECK(strcmp(text, texts[at]) == 0 || (number >= 0x1p53 && strtod(text, NULL) == number));
    }
    double number = 1e-5;
    for (int count = 0; count < 200000; count++, number *= 1.00024) {
        char text[NUMBER_ROOM];
        int length = number_shortest(number, text);
        CHECK(strtod(text, NULL) == number && number_read(text, (size_t)length) == number);
    }
}

static void a_tombstone_is_for_the_patient_its_key_names(void) {
    CHECK(!location_check_tombstone((const uint8_t *)"123", 3));
    CHECK(location_check_tombstone(NULL, 0));
    CHECK(location_check_tombstone((const uint8_t *)"\xff", 1));
}

int main(void) {
    a_location_is_read();
    other_fields_are_passed_over_at_any_depth();
    a_bad_value_is_refused_for_its_own_reason();
    a_number_is_written_in_its_shortest_form();
    what_is_written_reads_back_as_the_same_number();
    a_tombstone_is_for_the_patient_its_key_names();
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
