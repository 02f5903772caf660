// Package track is what the cache keeps of a patient, and how a location changes it.
package track

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"math"

	"gregor-plugins/location"
)

// Mean radius of the Earth, in metres, taken as a sphere.
const earthRadiusM = 6_371_000.0

// Len is the bytes of an entry: lat, lon, ts, count, totalM, each of eight, little-endian,
// as the Rust plugin writes them, so that either may follow the other.
const Len = 40

// Track is one patient's entry in the cache.
type Track struct {
	// Degrees.
	Lat, Lon float64
	// Milliseconds since the Unix epoch.
	TS uint64
	// Records so far.
	Count uint64
	// Metres so far.
	TotalM float64
}

// Encode writes an entry.
func (t Track) Encode() []byte {
	entry := make([]byte, 0, Len)
	for _, word := range []uint64{math.Float64bits(t.Lat), math.Float64bits(t.Lon), t.TS, t.Count, math.Float64bits(t.TotalM)} {
		entry = binary.LittleEndian.AppendUint64(entry, word)
	}
	return entry
}

// Decode refuses bytes that Encode does not write.
func Decode(entry []byte) (Track, error) {
	if len(entry) != Len {
		return Track{}, fmt.Errorf("the patient's cache entry has %d bytes, not %d: another plugin wrote it", len(entry), Len)
	}
	word := func(at int) uint64 { return binary.LittleEndian.Uint64(entry[8*at:]) }
	float := func(at int) float64 { return math.Float64frombits(word(at)) }
	t := Track{float(0), float(1), word(2), word(3), float(4)}
	for _, number := range []float64{t.Lat, t.Lon, t.TotalM} {
		if math.IsNaN(number) || math.IsInf(number, 0) {
			return Track{}, errors.New("the patient's cache entry holds no position: another plugin wrote it")
		}
	}
	return t, nil
}

// Advance gives the entry once the patient is at the location, and the metres that
// adds. recordTS serves where the location carries no time of its own.
func Advance(before *Track, at location.Location, recordTS uint64) (Track, float64) {
	t := Track{Lat: at.Lat, Lon: at.Lon, TS: recordTS, Count: 1}
	if at.TS != nil {
		t.TS = *at.TS
	}
	if before == nil {
		return t, 0
	}
	moved := haversine(before.Lat, before.Lon, at.Lat, at.Lon)
	t.Count = max(before.Count+1, before.Count)
	t.TotalM = before.TotalM + moved
	return t, moved
}

// Metres along the sphere between two positions in degrees.
func haversine(lat1, lon1, lat2, lon2 float64) float64 {
	radians := func(degrees float64) float64 { return degrees * (math.Pi / 180) }
	north := math.Sin(radians(lat2-lat1) / 2)
	east := math.Sin(radians(lon2-lon1) / 2)
	a := north*north + math.Cos(radians(lat1))*math.Cos(radians(lat2))*east*east
	// Rounding may take the root of opposite points beyond 1.
	return 2 * earthRadiusM * math.Asin(math.Min(math.Sqrt(a), 1))
}

// JSON is the output's value.
func JSON(patientID string, t Track, movedM float64) ([]byte, error) {
	return json.Marshal(struct {
		PatientID string  `json:"patientId"`
		Lat       float64 `json:"lat"`
		Lon       float64 `json:"lon"`
		TS        uint64  `json:"ts"`
		Count     uint64  `json:"count"`
		MovedM    float64 `json:"movedM"`
		TotalM    float64 `json:"totalM"`
	}{patientID, t.Lat, t.Lon, t.TS, t.Count, movedM, t.TotalM})
}
