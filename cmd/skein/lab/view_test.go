package lab

import (
	"bytes"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestTheTableOfALab(t *testing.T) {
	v := View{
		Name: "demo", Dir: "/var/lib/skein-lab/demo", Subnet: netip.MustParsePrefix("10.213.1.0/24"),
		Registry: "10.213.1.1:5000", Complete: true,
		Hosts: []HostView{
			{Name: "h1", Zone: "a", Address: "10.213.1.11", State: "up", InitPID: 10, RuntimePID: 11, AgentPID: 12,
				StatusURL: "http://10.213.1.11:7702/"},
			{Name: "h2", Zone: "b", Address: "10.213.1.12", State: "dead", StatusURL: "http://10.213.1.12:7702/"},
		},
	}
	var got bytes.Buffer
	if _, err := v.WriteTo(&got); err != nil {
		t.Fatal(err)
	}
	want := `lab demo   network 10.213.1.0/24   registry 10.213.1.1:5000   data /var/lib/skein-lab/demo
HOST  ZONE  ADDRESS      STATE  INIT  CONTAINERD  AGENT  STATUS PAGE
h1    a     10.213.1.11  up     10    11          12     http://10.213.1.11:7702/
h2    b     10.213.1.12  dead   -     -           -      http://10.213.1.12:7702/
`
	if diff := cmp.Diff(want, got.String()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	v.Complete = false
	got.Reset()
	if _, err := v.WriteTo(&got); err != nil || !strings.Contains(got.String(), "incomplete") {
		t.Errorf("an incomplete lab: %v\n%s", err, got.String())
	}
}

func TestPidsInsideAHost(t *testing.T) {
	for status, want := range map[string]int{
		"Name:\tx\nNSpid:\t4711\t12\n":    12,
		"NSpid:\t4711\t12\t1\nThreads: 1": 12, // a container on the host
	} {
		if got, ok := innerPID(status); !ok || got != want {
			t.Errorf("%q: got %d %v", status, got, ok)
		}
	}
	for _, status := range []string{"NSpid:\t4711\n", "Name: x\n", ""} {
		if got, ok := innerPID(status); ok {
			t.Errorf("%q: got %d", status, got)
		}
	}
}

func TestTheLastLinesOfALog(t *testing.T) {
	cases := []struct {
		text string
		n    int
		want string
	}{
		{"a\nb\nc\n", 2, "b\nc\n"},
		{"a\nb\nc\n", 3, "a\nb\nc\n"},
		{"a\nb\nc\n", 9, "a\nb\nc\n"},
		{"a\nb\nc", 1, "c"},
		{"a\nb\nc\n", 1, "c\n"},
		{"\n\n\n", 1, "\n"},
		{"", 5, ""},
		{strings.Repeat("x", 3*maxLineBytes) + "\n", 1, strings.Repeat("x", maxLineBytes-1) + "\n"}, // bounded
	}
	for _, c := range cases {
		name := filepath.Join(t.TempDir(), "log")
		if err := os.WriteFile(name, []byte(c.text), 0o600); err != nil {
			t.Fatal(err)
		}
		file, err := os.Open(name)
		if err != nil {
			t.Fatal(err)
		}
		defer file.Close()
		if err := seekLines(file, c.n); err != nil {
			t.Fatal(err)
		}
		var got bytes.Buffer
		if _, err := got.ReadFrom(file); err != nil {
			t.Fatal(err)
		}
		if got.String() != c.want {
			t.Errorf("last %d of %.20q: got %.40q, want %.40q", c.n, c.text, got.String(), c.want)
		}
	}
}

func TestTheTailStartsAtALine(t *testing.T) {
	name := filepath.Join(t.TempDir(), "log")
	if err := os.WriteFile(name, []byte("first line\nsecond\nthird\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if got := tail(name, 15); got != "second\nthird" {
		t.Errorf("got %q", got)
	}
	if got := tail(name, 1000); got != "first line\nsecond\nthird" {
		t.Errorf("got %q", got)
	}
	if got := tail(name+".none", 10); got != "(no log)" {
		t.Errorf("got %q", got)
	}
}
