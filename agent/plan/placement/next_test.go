package placement_test

import (
	"testing"

	"skein/agent/plan/placement"
	"skein/agent/plan/plantest"
)

func TestNext(t *testing.T) {
	tests := map[string]struct{ given, want string }{
		"nothing is placed where nothing waits": {
			given: "web desired=1; h1: web/1",
			want:  "nothing",
		},
		"tasks spread over zones": {
			given: "web desired=3; h1 zone=a:; h2 zone=b:; h3 zone=c:; unassigned: web/1 x3",
			want:  "place web-1 on h1; place web-2 on h2; place web-3 on h3",
		},
		"tasks of one host travel as a run": {
			given: "web desired=6; h1 zone=a:; h2 zone=b:; unassigned: web/1 x6",
			want:  "place web-1 web-3 web-5 on h1; place web-2 web-4 web-6 on h2",
		},
		"the zone with fewest tasks of the service comes first": {
			given: "web desired=4; h1 zone=a: web/1 x2; h2 zone=b:; unassigned: web/1",
			want:  "place web-3 on h2",
		},
		"in a zone, the host with fewest": {
			given: "web desired=3; h1: web/1; h2: other/1 x3; other desired=3; unassigned: web/1",
			want:  "place web-2 on h2",
		},
		"of hosts with as many, the one with most free": {
			given: "web desired=1; h1 cpu=1024:; h2 cpu=4096:; h3 cpu=2048:; unassigned: web/1",
			want:  "place web-1 on h2",
		},
		"tasks on silent hosts do not count for the spread": {
			given: "web desired=2; h1 zone=a silent: web/1; h2 zone=a:; h3 zone=b: web/1; unassigned: web/1",
			want:  "place web-3 on h2",
		},
		"tasks on cordoned hosts count for the spread": {
			given: "web desired=3; h1 zone=a cordoned: web/1 x2; h2 zone=a:; h3 zone=b: web/1; unassigned: web/1",
			want:  "place web-4 on h3",
		},
		"the spread of a rolled-over service is its own, not that of the old tasks": {
			given: "web desired=2; h1 zone=a: web/1 x2; h2 zone=b:; unassigned: web/2 x2",
			want:  "place web-3 on h2; place web-4 on h1",
		},
		"a zone without room yields to the next": {
			given: "web desired=2 cpu=1024; h1 zone=a cpu=512:; h2 zone=b:; unassigned: web/1 x2",
			want:  "place web-1 web-2 on h2",
		},
		"reservations of stopping tasks still hold": {
			given: "web desired=1 cpu=1024; h1 cpu=1024: web/1 stopping; unassigned: web/1",
			want:  "wait service:web no-host-fits: 1 task needs 1024 cpu units: 1 host lacks cpu (largest free 0)",
		},
		"a fixed port takes one task a host": {
			given: "web desired=3 port=8080; h1:; h2:; unassigned: web/1 x3",
			want: "place web-1 on h1 port 8080; place web-2 on h2 port 8080; " +
				"wait service:web no-host-fits: 1 task needs port 8080/tcp: 2 hosts have ports taken",
		},
		"dynamic ports come from the range of the settings, and it ends": {
			given: "leader dynamicPortFirst=65534; web desired=3 dynamic; h1:; unassigned: web/1 x3",
			want: "place web-1 web-2 on h1 port 65535 port 65534; " +
				"wait service:web no-host-fits: 1 task needs 1 dynamic port: 1 host has ports taken",
		},
		"standalone tasks spread over zones too": {
			given: "def job cpu=64 mem=64; h1 zone=a:; h2 zone=b:; unassigned: job x3",
			want:  "place job-1 job-3 on h1; place job-2 on h2",
		},
		"a standalone task that finds no room says so itself": {
			given: "def job mem=9000; h1 mem=10000:; other desired=1 mem=2000; h2 mem=1024:; h3 mem=10000: other/1; " +
				"unassigned: job x2",
			want: "place job-1 on h1; wait task:job-2 no-host-fits: 1 task needs 9000 MiB: 3 hosts lack memory (largest " +
				"free 8000)",
		},
		"every filter is named, with counts": {
			given: "web desired=3 cpu=512 mem=4096 port=80; other desired=1 mem=4096 port=80; " +
				"h1 mem=1024:; h2 mem=512:; h3 cordoned:; h4 joining:; h5 silent:; h6 seen=refused:; h7 cpu=256:; h8: other/1; " +
				"unassigned: web/1 x3",
			want: "wait service:web no-host-fits: 3 tasks need 512 cpu units and 4096 MiB and port 80/tcp: " +
				"1 host lacks cpu (largest free 256), 2 hosts lack memory (largest free 1024), 1 host has ports taken, 1 " +
				"cordoned, 1 not answering, 2 not ready",
		},
		"hosts are counted for the first filter that refuses them": {
			given: "web desired=3 mem=4096; h1 mem=1024:; h2 mem=512:; h3 mem=8192 cordoned:; unassigned: web/1 x3",
			want:  "wait service:web no-host-fits: 3 tasks need 4096 MiB: 2 hosts lack memory (largest free 1024), 1 cordoned",
		},
		"what can never fit says how much it is too large": {
			given: "web desired=2 cpu=4160; h1 cpu=4096:; h2 cpu=2048:; unassigned: web/1 x2",
			want: "wait service:web no-host-fits: 2 tasks can never fit: each needs 64 cpu units more than the largest host " +
				"has (4096)",
		},
		"hosts that are seen otherwise than alive are shunned": {
			given: "web desired=1; h1 cpu=8192 seen=suspect:; h2:; unassigned: web/1",
			want:  "place web-1 on h2",
		},
		"a host that this leader has not heard may be dead: it takes nothing": {
			given: "web desired=1; h1 seen=unknown:; h2 cpu=300:; unassigned: web/1",
			want:  "place web-1 on h2",
		},
		"a leader that has heard nobody yet waits": {
			given: "web desired=1; h1 seen=unknown:; unassigned: web/1",
			want:  "wait service:web no-host-fits: 1 task: 1 not heard yet",
		},
		"a new leader places nothing before it has heard all ready hosts": {
			given: "leader age=300ms; web desired=2; h1 zone=a seen=unknown:; h2 zone=b:; unassigned: web/1 x2",
			want:  "nothing",
		},
		"a new leader that has heard all ready hosts places at once": {
			given: "leader age=300ms; web desired=2; h1 zone=a:; h2 zone=b:; h3 seen=unknown cordoned:; unassigned: web/1 x2",
			want:  "place web-1 on h1; place web-2 on h2",
		},
		"a leader of a second does without hosts that it has not heard": {
			given: "leader age=1s; web desired=2; h1 zone=a seen=unknown:; h2 zone=b:; unassigned: web/1 x2",
			want:  "place web-1 web-2 on h2",
		},
		"a task moves aside for one that fits nowhere else": {
			given: "a desired=1 cpu=500; b desired=1 cpu=1000; h1 cpu=1000:; h2 cpu=600:; unassigned: a/1, b/1",
			want:  "place a-1 on h2; place b-1 on h1",
		},
		"tasks that have a host never move aside": {
			given: "a desired=1 cpu=500; b desired=1 cpu=1000; c desired=1 cpu=100; h1 cpu=1000: a/1; h2 cpu=600:; " +
				"unassigned: b/1, c/1",
			want: "wait service:b no-host-fits: 1 task needs 1000 cpu units: 2 hosts lack cpu (largest free 600); place " +
				"c-1 on h2",
		},
		"two tasks are better than one": {
			given: "a desired=1 cpu=1000; b desired=2 cpu=500; h1 cpu=1000:; unassigned: a/1, b/1 x2",
			want: "place b-1 b-2 on h1; " +
				"wait service:a no-host-fits: 1 task needs 1000 cpu units: 1 host lacks cpu (largest free 0)",
		},
		"a task moves aside for the spread of another service": {
			given: "a desired=1 cpu=500; web desired=2 cpu=500; h1 zone=a cpu=600:; h2 zone=b cpu=500:; h3 zone=b cpu=500:; " +
				"unassigned: a/1, web/1 x2",
			want: "place a-1 on h2; place web-1 on h1; place web-2 on h3",
		},
		"a fleet without ready hosts": {
			given: "web desired=1; unassigned: web/1",
			want:  "wait service:web no-host-fits: 1 task: 1 not ready",
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if got := plantest.Text(placement.Next(plantest.Parse(t, tt.given).Input())); got != tt.want {
				t.Errorf("given %s\n got: %s\nwant: %s", tt.given, got, tt.want)
			}
		})
	}
}
