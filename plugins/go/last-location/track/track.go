// Package track is what the cache keeps of a patient, and how a location changes it.
package track

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strconv"

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

// JSON is the output's value. By hand: encoding/json takes several times as long.
func JSON(patientID string, t Track, movedM float64) ([]byte, error) {
	quoted, err := json.Marshal(patientID)
	if err != nil {
		return nil, err
	}
	text := make([]byte, 0, len(quoted)+192)
	text = append(append(text, `{"patientId":`...), quoted...)
	text = appendNumber(append(text, `,"lat":`...), t.Lat)
	text = appendNumber(append(text, `,"lon":`...), t.Lon)
	text = strconv.AppendUint(append(text, `,"ts":`...), t.TS, 10)
	text = strconv.AppendUint(append(text, `,"count":`...), t.Count, 10)
	text = appendNumber(append(text, `,"movedM":`...), movedM)
	text = appendNumber(append(text, `,"totalM":`...), t.TotalM)
	return append(text, '}'), nil
}

// The shortest text that reads back as number.
func appendNumber(text []byte, number float64) []byte {
	format := byte('f')
	if size := math.Abs(number); size != 0 && (size < 1e-6 || size >= 1e21) {
		format = 'e'
	}
	return strconv.AppendFloat(text, number, format, -1, 64)
}
