package config

import "testing"

func TestWhereToJoinMayLeaveThePortOut(t *testing.T) {
	for given, want := range map[string]string{
		"10.0.0.5:7700": "10.0.0.5:7700", "10.0.0.5:17700": "10.0.0.5:17700", "10.0.0.5": "10.0.0.5:7700",
		"fd00::5": "[fd00::5]:7700", "[fd00::5]": "[fd00::5]:7700", "[fd00::5]:7701": "[fd00::5]:7701",
		"h1.example": "h1.example:7700", "h1.example:7701": "h1.example:7701",
		"": "", ":7700": "", "10.0.0.5:": "", "10.0.0.5:0": "", "10.0.0.5:70000": "", "10.0.0.5:peer": "",
		"https://10.0.0.5:7700": "", "10.0.0.5:7700:7701": "", "h1 h2": "",
	} {
		got, err := DialAddress(given, PeerPort)
		if got != want || (err == nil) != (want != "") {
			t.Errorf("%q: %q, %v, want %q", given, got, err, want)
		}
	}
}
