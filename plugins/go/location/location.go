// Package location reads a patient's location as records carry it, with the
// rules of plugins/location.
package location

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"regexp"
	"strconv"
	"unicode/utf8"
)

// MaxPatientID is the longest patient id, in bytes: what the cache takes as a key.
const MaxPatientID = 512

// Location tells where a patient was.
type Location struct {
	// 1 to MaxPatientID bytes.
	PatientID string
	// Degrees.
	Lat, Lon float64
	// Milliseconds since the Unix epoch; nil where the value does not tell.
	TS *uint64
}

var (
	errEmpty     = errors.New("the value is empty: expected a JSON object")
	errNotUTF8   = errors.New("the value is not UTF-8: expected a JSON object")
	errNotJSON   = errors.New("the value is not JSON")
	errNotObject = errors.New("the value is JSON but not an object")
	errPatientID = errors.New("`patientId` must be 1 to 512 bytes of text or a 64-bit integer")
	errTS        = errors.New("`ts` must be an integer: milliseconds since the Unix epoch, from 0")
	errTombstone = errors.New("a tombstone's key must be a patient id: 1 to 512 bytes of UTF-8")
)

// Parse reads a record's value; fields other than the four are ignored. Its
// error names the first rule that the value breaks, and never quotes it.
func Parse(value []byte) (Location, error) {
	var location Location
	fields, err := members(value)
	if err != nil {
		return location, err
	}
	if location.PatientID, err = patientID(fields["patientId"]); err != nil {
		return location, err
	}
	if location.Lat, err = degrees("lat", 90, fields["lat"]); err != nil {
		return location, err
	}
	if location.Lon, err = degrees("lon", 180, fields["lon"]); err != nil {
		return location, err
	}
	location.TS, err = milliseconds(fields["ts"])
	return location, err
}

// PatientOfTombstone is the patient that a tombstone's key names.
func PatientOfTombstone(key []byte) (string, error) {
	if len(key) < 1 || len(key) > MaxPatientID || !utf8.Valid(key) {
		return "", errTombstone
	}
	return string(key), nil
}

// The four fields as they stand in the text: integers past 2^53 are exact, and a
// field that is there twice is seen.
func members(value []byte) (map[string]json.RawMessage, error) {
	if len(value) == 0 {
		return nil, errEmpty
	}
	if !utf8.Valid(value) {
		return nil, errNotUTF8
	}
	// The decoder below takes tokens that make no whole.
	if !json.Valid(value) {
		return nil, errNotJSON
	}
	decoder := json.NewDecoder(bytes.NewReader(value))
	if start, err := decoder.Token(); err != nil || start != json.Delim('{') {
		return nil, errNotObject
	}
	fields := make(map[string]json.RawMessage, 4)
	for decoder.More() {
		before := decoder.InputOffset()
		token, err := decoder.Token()
		name, ok := token.(string)
		if err != nil || !ok || halved(value[before:decoder.InputOffset()]) {
			return nil, errNotJSON
		}
		var field json.RawMessage
		if err := decoder.Decode(&field); err != nil {
			return nil, errNotJSON
		}
		switch name {
		case "patientId", "lat", "lon", "ts":
			if _, twice := fields[name]; twice {
				return nil, fmt.Errorf("`%s` is there twice: expected it once", name)
			}
			fields[name] = field
		}
	}
	return fields, nil
}

var escapes = regexp.MustCompile(`\\(?:u([0-9a-fA-F]{4})|.)`)

// Whether text has half of a surrogate pair, which no UTF-8 can carry and which
// encoding/json replaces.
func halved(text []byte) bool {
	if !bytes.Contains(text, []byte(`\u`)) {
		return false
	}
	high := -1
	for _, at := range escapes.FindAllSubmatchIndex(text, -1) {
		var unit uint64
		if at[2] >= 0 {
			unit, _ = strconv.ParseUint(string(text[at[2]:at[3]]), 16, 32)
		}
		low := unit >= 0xdc00 && unit < 0xe000
		// A high half is followed by a low one at once.
		if low != (high == at[0]) || high >= 0 && !low {
			return true
		}
		high = -1
		if unit >= 0xd800 && unit < 0xdc00 {
			high = at[1]
		}
	}
	return high >= 0
}

func absent(field json.RawMessage) bool { return field == nil || string(field) == "null" }

func isNumber(field json.RawMessage) bool {
	return field[0] == '-' || field[0] >= '0' && field[0] <= '9'
}

func patientID(field json.RawMessage) (string, error) {
	if absent(field) {
		return "", errors.New("`patientId` is missing or null")
	}
	var id string
	switch {
	case field[0] == '"':
		if halved(field) || json.Unmarshal(field, &id) != nil {
			return "", errNotJSON
		}
	case isNumber(field):
		if unsigned, err := strconv.ParseUint(string(field), 10, 64); err == nil {
			id = strconv.FormatUint(unsigned, 10)
		} else if signed, err := strconv.ParseInt(string(field), 10, 64); err == nil && signed != 0 {
			// -0 is a fraction.
			id = strconv.FormatInt(signed, 10)
		}
	}
	if len(id) < 1 || len(id) > MaxPatientID {
		return "", errPatientID
	}
	return id, nil
}

func degrees(name string, limit float64, field json.RawMessage) (float64, error) {
	if absent(field) {
		return 0, fmt.Errorf("`%s` is missing or null", name)
	}
	if !isNumber(field) {
		return 0, fmt.Errorf("`%s` must be a number of degrees, without quotes", name)
	}
	number, err := strconv.ParseFloat(string(field), 64)
	if err != nil {
		return 0, errNotJSON
	}
	if math.Abs(number) > limit {
		return 0, fmt.Errorf("`%s` must be from -%v to %v degrees", name, limit, limit)
	}
	return number, nil
}

func milliseconds(field json.RawMessage) (*uint64, error) {
	if absent(field) {
		return nil, nil
	}
	ts, err := strconv.ParseUint(string(field), 10, 64)
	if err != nil {
		return nil, errTS
	}
	return &ts, nil
}
