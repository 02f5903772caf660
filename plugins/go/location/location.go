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
	if location.PatientID, err = patientID(fields[fieldPatientID]); err != nil {
		return location, err
	}
	if location.Lat, err = degrees("lat", 90, fields[fieldLat]); err != nil {
		return location, err
	}
	if location.Lon, err = degrees("lon", 180, fields[fieldLon]); err != nil {
		return location, err
	}
	location.TS, err = milliseconds(fields[fieldTS])
	return location, err
}

// PatientOfTombstone is the patient that a tombstone's key names.
func PatientOfTombstone(key []byte) (string, error) {
	if len(key) < 1 || len(key) > MaxPatientID || !utf8.Valid(key) {
		return "", errTombstone
	}
	return string(key), nil
}

const (
	fieldPatientID = iota
	fieldLat
	fieldLon
	fieldTS
	fieldCount
)

var names = [fieldCount]string{"patientId", "lat", "lon", "ts"}

// The four fields as they stand in the text: integers past 2^53 are exact, and a
// field that is there twice is seen. By hand: encoding/json's own tokens take ten times
// as long.
func members(value []byte) ([fieldCount][]byte, error) {
	var fields [fieldCount][]byte
	if len(value) == 0 {
		return fields, errEmpty
	}
	if !utf8.Valid(value) {
		return fields, errNotUTF8
	}
	// So the text below is whole, and so is each of its parts.
	if !json.Valid(value) {
		return fields, errNotJSON
	}
	text := scanner{text: value}
	if !text.take('{') {
		return fields, errNotObject
	}
	for !text.take('}') {
		quoted := text.value()
		text.take(':')
		field := text.value()
		text.take(',')
		name, err := unquote(quoted)
		if err != nil {
			return fields, err
		}
		for known := range names {
			if name != names[known] {
				continue
			}
			if fields[known] != nil {
				return fields, fmt.Errorf("`%s` is there twice: expected it once", names[known])
			}
			fields[known] = field
		}
	}
	return fields, nil
}

// Goes through JSON that is valid.
type scanner struct {
	text []byte
	at   int
}

// Past white space; takes byte if it is next.
func (s *scanner) take(byte byte) bool {
	for s.text[s.at] == ' ' || s.text[s.at] == '\t' || s.text[s.at] == '\r' || s.text[s.at] == '\n' {
		s.at++
	}
	if s.text[s.at] != byte {
		return false
	}
	s.at++
	return true
}

// The value that is next.
func (s *scanner) value() []byte {
	s.take(0)
	start, depth := s.at, 0
	for {
		switch s.text[s.at] {
		case '"':
			for s.at++; s.text[s.at] != '"'; s.at++ {
				if s.text[s.at] == '\\' {
					s.at++
				}
			}
			s.at++
		case '{', '[':
			depth++
			s.at++
		case '}', ']':
			depth--
			s.at++
		case ' ', '\t', '\r', '\n', ',', ':':
			s.at++
			continue
		default:
			for s.at < len(s.text) && bytes.IndexByte(ends, s.text[s.at]) < 0 {
				s.at++
			}
		}
		if depth == 0 {
			return s.text[start:s.at]
		}
	}
}

func unquote(quoted []byte) (string, error) {
	if bytes.IndexByte(quoted, '\\') < 0 {
		return string(quoted[1 : len(quoted)-1]), nil
	}
	var text string
	if halved(quoted) || json.Unmarshal(quoted, &text) != nil {
		return "", errNotJSON
	}
	return text, nil
}

// What ends a number or a word.
var ends = []byte(" \t\r\n,:]}")

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

func absent(field []byte) bool { return field == nil || string(field) == "null" }

func isNumber(field []byte) bool {
	return field[0] == '-' || field[0] >= '0' && field[0] <= '9'
}

func patientID(field []byte) (string, error) {
	if absent(field) {
		return "", errors.New("`patientId` is missing or null")
	}
	var id string
	switch {
	case field[0] == '"':
		var err error
		if id, err = unquote(field); err != nil {
			return "", err
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

func degrees(name string, limit float64, field []byte) (float64, error) {
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

func milliseconds(field []byte) (*uint64, error) {
	if absent(field) {
		return nil, nil
	}
	ts, err := strconv.ParseUint(string(field), 10, 64)
	if err != nil {
		return nil, errTS
	}
	return &ts, nil
}
