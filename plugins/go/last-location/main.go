// Keeps each patient's last position, count of records and distance in the
// cache, and emits them, keyed by patient, for every location.
package main

import (
	"gregor-plugins/last-location/track"
	"gregor-plugins/location"
	gregor "gregor-plugins/sdk"
	"gregor-plugins/sdk/cache"
)

func init() { gregor.Export(process) }

func main() {}

func process(record gregor.Input) ([]gregor.Output, error) {
	var output gregor.Output
	var err error
	if record.Value == nil {
		output, err = forgotten(record)
	} else {
		output, err = moved(record)
	}
	if err != nil {
		return nil, err
	}
	output.Headers = record.Headers
	return []gregor.Output{output}, nil
}

func moved(record gregor.Input) (gregor.Output, error) {
	at, err := location.Parse(record.Value)
	if err != nil {
		return gregor.Output{}, err
	}
	var before *track.Track
	if entry := cache.Get(at.PatientID); entry != nil {
		decoded, err := track.Decode(entry)
		if err != nil {
			return gregor.Output{}, err
		}
		before = &decoded
	}
	now, movedM := track.Advance(before, at, record.Timestamp)
	if err := cache.Set(at.PatientID, now.Encode()); err != nil {
		return gregor.Output{}, err
	}
	value, err := track.JSON(at.PatientID, now, movedM)
	return gregor.Output{Key: []byte(at.PatientID), Value: value}, err
}

func forgotten(record gregor.Input) (gregor.Output, error) {
	patient, err := location.PatientOfTombstone(record.Key)
	if err == nil {
		cache.Delete(patient)
	}
	return gregor.Output{Key: record.Key}, err
}
