package track

import (
	"encoding/hex"
	"math"
	"testing"

	"gregor-plugins/location"
)

var lisbon = location.Location{PatientID: "123", Lat: 38.7167, Lon: -9.1333}
var porto = location.Location{PatientID: "123", Lat: 41.1496, Lon: -8.611}

func TestAnEntryHasFiveLittleEndianWords(t *testing.T) {
	written := Track{1, -2, 0x0102, 3, 0.5}
	if got := hex.EncodeToString(written.Encode()); got != "000000000000f03f00000000000000c002010000000000000300000000000000000000000000e03f" {
		t.Fatal(got)
	}
	if read, err := Decode(written.Encode()); err != nil || read != written {
		t.Fatal(read, err)
	}
}

func TestAnEntryOfAnotherPluginIsRefused(t *testing.T) {
	foreign := make([]byte, 40)
	for at := range foreign {
		foreign[at] = 0xff
	}
	for _, entry := range [][]byte{nil, make([]byte, 39), make([]byte, 41), foreign} {
		if _, err := Decode(entry); err == nil {
			t.Error(entry)
		}
	}
}

func TestEachFurtherLocationCountsAndAddsItsDistance(t *testing.T) {
	first, moved := Advance(nil, lisbon, 5)
	if first != (Track{38.7167, -9.1333, 5, 1, 0}) || moved != 0 {
		t.Fatal(first, moved)
	}
	second, there := Advance(&first, porto, 6)
	third, back := Advance(&second, lisbon, 7)
	if math.Abs(there-274_165.4) > 0.1 || third.Count != 3 || third.TotalM != there+back {
		t.Fatal(there, third)
	}
}

func TestOppositePointsAreHalfACircumferenceApart(t *testing.T) {
	if metres := haversine(90, 0, -90, 0); math.Abs(metres-math.Pi*earthRadiusM) > 1e-6 {
		t.Fatal(metres)
	}
}
