// Says in plain words where a patient is. The README has the fields and what
// happens to bad input.
package main

import (
	"fmt"
	"strconv"

	"gregor-plugins/location"
	gregor "gregor-plugins/sdk"
)

func init() { gregor.Export(process) }

func main() {}

func process(record gregor.Input) ([]gregor.Output, error) {
	value, err := sentence(record.Key, record.Value)
	if err != nil {
		return nil, err
	}
	return []gregor.Output{{Key: record.Key, Value: value, Headers: record.Headers}}, nil
}

// The output's value; nil for a tombstone, which is passed on.
func sentence(key, value []byte) ([]byte, error) {
	if value == nil {
		_, err := location.PatientOfTombstone(key)
		return nil, err
	}
	at, err := location.Parse(value)
	if err != nil {
		return nil, err
	}
	return fmt.Appendf(nil, "Patient %s at location (%s, %s)", at.PatientID, plain(at.Lat), plain(at.Lon)), nil
}

// A number in its shortest form, without an exponent.
func plain(number float64) string { return strconv.FormatFloat(number, 'f', -1, 64) }
