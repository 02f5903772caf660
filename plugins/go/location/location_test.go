package location

import (
	"strings"
	"testing"
)

func TestALocationIsRead(t *testing.T) {
	at, err := Parse([]byte(`{"ts":18446744073709551615,"lon":-91333e-4,"lat":3.87167e1,"patientId":"\u0031\ud83d\ude00"}`))
	if err != nil || at.PatientID != "1😀" || at.Lat != 38.7167 || at.Lon != -9.1333 || *at.TS != 18446744073709551615 {
		t.Fatal(at, err)
	}
}

func TestABadValueIsRefusedForItsOwnReasonAndNeverQuoted(t *testing.T) {
	for value, reason := range map[string]string{
		"":                                       "the value is empty",
		"\xff":                                   "not UTF-8",
		`{"patientId":"SECRET"`:                  "not JSON",
		`{"patientId":"1","lat":1,"lon":2,}`:     "not JSON",
		`{"patientId":"1","lat":1e999,"lon":2}`:  "not JSON",
		`{"patientId":"\ud800","lat":1,"lon":2}`: "not JSON",
		`{"patientId":"\ud83d\\ude00","lat":1,"lon":2}`: "not JSON",
		`"SECRET"`: "not an object",
		`{"patientId":"1","lat":1,"l\u0061t":1,"lon":2}`:     "`lat` is there twice",
		`{"patientId":-0,"lat":1,"lon":2}`:                   "`patientId` must be",
		`{"patientId":18446744073709551616,"lat":1,"lon":2}`: "`patientId` must be",
		`{"patientId":"1","lat":"SECRET","lon":2}`:           "`lat` must be a number",
		`{"patientId":"1","lat":1,"lon":-181}`:               "`lon` must be from -180 to 180",
		`{"patientId":"1","lat":1,"lon":2,"ts":1e3}`:         "`ts` must be",
	} {
		_, err := Parse([]byte(value))
		if err == nil || !strings.Contains(err.Error(), reason) || strings.Contains(err.Error(), "SECRET") {
			t.Errorf("%s: %v", value, err)
		}
	}
}

func TestATombstoneIsForThePatientItsKeyNames(t *testing.T) {
	if id, err := PatientOfTombstone([]byte("123")); err != nil || id != "123" {
		t.Fatal(id, err)
	}
	for _, key := range []string{"", "\xff", strings.Repeat("7", MaxPatientID+1)} {
		if _, err := PatientOfTombstone([]byte(key)); err == nil {
			t.Errorf("%q", key)
		}
	}
}
