package main

import "testing"

func TestALocationBecomesASentence(t *testing.T) {
	value, err := sentence(nil, []byte(`{"patientId": "123", "lat": 38.7167, "lon": -9.0}`))
	if err != nil || string(value) != "Patient 123 at location (38.7167, -9)" {
		t.Fatal(string(value), err)
	}
}

func TestATombstoneIsPassedOnUnderTheKeyOfAPatient(t *testing.T) {
	if value, err := sentence([]byte("123"), nil); err != nil || value != nil {
		t.Fatal(value, err)
	}
	if _, err := sentence(nil, nil); err == nil {
		t.Fatal("a tombstone without a key")
	}
}

func TestANumberHasNoExponent(t *testing.T) {
	for number, text := range map[float64]string{1.5e-7: "0.00000015", -1e-5: "-0.00001", 100: "100"} {
		if got := plain(number); got != text {
			t.Error(got)
		}
	}
}
