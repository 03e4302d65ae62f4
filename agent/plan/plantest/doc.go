// Package plantest makes States from text and text from plans, so that a test
// of a planner reads as a sentence.
//
// A fixture is clauses, parted by ";" or line ends; "#" begins a comment.
//
//	web desired=6 min=100 max=200 cpu=256 mem=128 check grace=30s stop-after=1m port=8080 dynamic rev=2 failed=3 deleted
//	def job cpu=64 mem=64
//	h1 zone=a cpu=2048 mem=4096 cordoned joining silent=10s rebooted=5s lost seen=refused/30s reads=2: job pending
//	h2 session=2: web/1 running healthy x2, job
//	unassigned: web/2 x3, job
//	leader age=5s clock=3s/5 format=2 lostAfterMs=10000
//
// A service's tasks are called web-1, web-2, ... in the order of the text, which
// is the order in which they were made, a second apart (older revisions first).
// Running tasks have run for a minute unless "age=5s" says otherwise. What the text leaves out is
// usual: min 100, max 200, cpu 256, memory 128, zone a, hosts of 4096 cpu and
// 8192 MiB that are ready and seen alive, in the session that State has
// ("session=0": by the word of a witness only). The first host holds the log.
//
// The State is made by real commands, one by one, so it holds nothing that a
// fleet could not come to.
package plantest
