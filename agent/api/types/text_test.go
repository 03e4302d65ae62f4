package types

import (
	"strings"
	"testing"
)

func TestTextFromElsewhereIsMadeHarmless(t *testing.T) {
	for given, want := range map[string]string{
		"plain":                      "plain",
		"a\x1b]52;c;evil\x07b":       "a ]52;c;evil b",
		"line\nforged":               "line forged",
		"right\u202eto left":         "right to left",
		"zero\u200bwidth":            "zero width",
		"bad\xffutf8":                "bad\uFFFDutf8",
		"grüße 木":                    "grüße 木",
		strings.Repeat("x", MaxText): strings.Repeat("x", MaxText),
		strings.Repeat("é", MaxText): strings.Repeat("é", MaxText/2) + "...",
	} {
		if got := Clean(given); got != want {
			t.Errorf("Clean(%q) = %q, want %q", given[:min(len(given), 40)], got[:min(len(got), 60)],
				want[:min(len(want), 60)])
		}
	}
	for given, want := range map[string]string{"http://h1:7780/": "http://h1:7780/", "javascript:alert(1)": "",
		"file:///etc/passwd": "", "//evil": "", "http://": "", "\x00": ""} {
		if got := CleanURL(given); got != want {
			t.Errorf("CleanURL(%q) = %q", given, got)
		}
	}
}

func TestAHiddenURLNamesItsServerAlone(t *testing.T) {
	for given, want := range map[string]string{
		"https://hooks.example/services/T0/B0/secret": "https://hooks.example/***",
		"https://hooks.example/?token=secret":         "https://hooks.example/***",
		"https://user:secret@hooks.example/x":         "https://hooks.example/***",
		"http://prometheus.example:9090":              "http://prometheus.example:9090",
		"http://prometheus.example:9090/":             "http://prometheus.example:9090",
		"no address":                                  "***",
	} {
		if got := HideURL(given); got != want {
			t.Errorf("HideURL(%q) = %q, want %q", given, got, want)
		}
	}
}
