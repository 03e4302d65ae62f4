package dns

import (
	"fmt"
	"net/netip"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/net/dns/dnsmessage"

	"skein/raftfsm/fleet"
)

// target is a target at an address, with the task's name.
func targetAt(task, addr string, state fleet.TargetState) fleet.Target {
	return fleet.Target{Task: fleet.TaskID(task), Addr: netip.MustParseAddrPort(addr), State: state}
}

func aliasAddr(number int) netip.Addr { return netip.AddrFrom4([4]byte{198, 19, 0, byte(number + 1)}) }

// world is a fleet of a few services.
func world() fleet.Routes {
	group := func(name string, targets ...fleet.Target) fleet.GroupTargets {
		return fleet.GroupTargets{TargetGroup: fleet.TargetGroup{Name: fleet.TargetGroupName(name)}, Targets: targets}
	}
	port := func(name string, groups ...fleet.GroupWeight) fleet.RoutedPort {
		return fleet.RoutedPort{Name: name, Groups: groups}
	}
	return fleet.Routes{
		Listeners: []fleet.Listener{
			{Name: "web-80", Port: 80},
			{Name: "b-8080", Port: 8080, Alias: &fleet.ListenerAlias{Name: "b", Number: 3}},
			{Name: "b-9090", Port: 9090, Alias: &fleet.ListenerAlias{Name: "b", Number: 3}},
			{Name: "api", Port: 80, Alias: &fleet.ListenerAlias{Name: "api.shop.internal", Number: 4}},
		},
		Groups: []fleet.GroupTargets{
			group("web-blue", targetAt("a1", "10.0.0.1:1001", fleet.TargetHealthy),
				targetAt("a2", "10.0.0.2:1002", fleet.TargetHealthy), targetAt("a3", "10.0.0.2:1003", fleet.TargetHealthy),
				targetAt("a4", "10.0.0.4:1004", fleet.TargetInitial), targetAt("a5", "10.0.0.5:1005", fleet.TargetUnhealthy),
				targetAt("a6", "10.0.0.6:1006", fleet.TargetDraining)),
			group("web-green", targetAt("b1", "[fd00::1]:2001", fleet.TargetHealthy)),
			group("bad", targetAt("c1", "10.0.0.1:3001", fleet.TargetUnhealthy),
				targetAt("c2", "10.0.0.2:3002", fleet.TargetInitial)),
			group("none"),
		},
		Services: []fleet.RoutedService{
			{Name: "Web", Ports: []fleet.RoutedPort{port("http", fleet.GroupWeight{Group: "none", Weight: 10_000})}},
			{Name: "bad", Ports: []fleet.RoutedPort{port("", fleet.GroupWeight{Group: "bad", Weight: 10_000})}},
			{Name: "idle", Ports: []fleet.RoutedPort{port("http", fleet.GroupWeight{Group: "none", Weight: 10_000})}},
			{Name: "web", Ports: []fleet.RoutedPort{port("HTTP", fleet.GroupWeight{Group: "web-blue", Weight: 9_000},
				fleet.GroupWeight{Group: "web-green", Weight: 1_000}),
				port("admin", fleet.GroupWeight{Group: "none", Weight: 10_000})}},
		},
	}
}

// asked packs a query as a client does.
func asked(t testing.TB, name string, kind dnsmessage.Type, udpSize int) []byte {
	t.Helper()
	b := dnsmessage.NewBuilder(nil, dnsmessage.Header{ID: 4711, RecursionDesired: true})
	must(t, b.StartQuestions())
	must(t, b.Question(dnsmessage.Question{Name: dnsmessage.MustNewName(name), Type: kind, Class: dnsmessage.ClassINET}))
	if udpSize > 0 {
		var h dnsmessage.ResourceHeader
		must(t, h.SetEDNS0(udpSize, 0, false))
		must(t, b.StartAdditionals())
		must(t, b.OPTResource(h, dnsmessage.OPTResource{}))
	}
	message, err := b.Finish()
	must(t, err)
	return message
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// read is a message as tests compare it: its code, and its answers as text, sorted.
func read(t testing.TB, b []byte) (code dnsmessage.RCode, answers []string, m dnsmessage.Message) {
	t.Helper()
	must(t, m.Unpack(b))
	for _, r := range m.Answers {
		switch body := r.Body.(type) {
		case *dnsmessage.AResource:
			answers = append(answers, netip.AddrFrom4(body.A).String())
		case *dnsmessage.AAAAResource:
			answers = append(answers, netip.AddrFrom16(body.AAAA).String())
		case *dnsmessage.SRVResource:
			answers = append(answers, fmt.Sprint(body.Weight, " ", body.Port, " ", body.Target))
		default:
			answers = append(answers, r.Header.Type.String())
		}
	}
	slices.Sort(answers)
	return m.RCode, answers, m
}

func TestNamesOfServicesAreAnswered(t *testing.T) {
	none := []string(nil)
	for sentence, c := range map[string]struct {
		name string
		kind dnsmessage.Type
		code dnsmessage.RCode
		want []string
	}{
		"A has the hosts of ready tasks, each once": {"web.skein.", dnsmessage.TypeA, 0, []string{"10.0.0.1", "10.0.0.2"}},
		"AAAA has those with such an address":       {"web.skein.", dnsmessage.TypeAAAA, 0, []string{"fd00::1"}},
		"any case of a name is the same name":       {"WEB.Skein.", dnsmessage.TypeAAAA, 0, []string{"fd00::1"}},
		"SRV has ports, and shares as they are now": {"web.skein.", dnsmessage.TypeSRV, 0, []string{
			"1000 2001 b1.web.skein.", "3000 1001 a1.web.skein.", "3000 1002 a2.web.skein.", "3000 1003 a3.web.skein."}},
		"SRV of a port by its name": {"_http._tcp.web.skein.", dnsmessage.TypeSRV, 0, []string{
			"1000 2001 b1.web.skein.", "3000 1001 a1.web.skein.", "3000 1002 a2.web.skein.", "3000 1003 a3.web.skein."}},
		"SRV of a port where nothing is ready": {"_admin._tcp.web.skein.", dnsmessage.TypeSRV, 0, none},
		"SRV of a port that there is not": {
			"_ftp._tcp.web.skein.", dnsmessage.TypeSRV, dnsmessage.RCodeNameError, none},
		"a task by its id":                            {"a3.web.skein.", dnsmessage.TypeA, 0, []string{"10.0.0.2"}},
		"a task that is not ready":                    {"a4.web.skein.", dnsmessage.TypeA, dnsmessage.RCodeNameError, none},
		"all look bad, so those that do are answered": {"bad.skein.", dnsmessage.TypeA, 0, []string{"10.0.0.1"}},
		"a service without a ready task":              {"idle.skein.", dnsmessage.TypeA, 0, none},
		"a service that there is not": {
			"nobody.skein.", dnsmessage.TypeA, dnsmessage.RCodeNameError, none},
		"what lies below it": {
			"x.y.z.nobody.skein.", dnsmessage.TypeA, dnsmessage.RCodeNameError, none},
		"a type that services have not": {"web.skein.", dnsmessage.TypeMX, 0, none},
		"an alias":                      {"B.", dnsmessage.TypeA, 0, []string{"198.19.0.4"}},
		"an alias by its search domain": {"b.connect.skein.", dnsmessage.TypeA, 0, []string{"198.19.0.4"}},
		"an alias of several parts":     {"api.shop.internal.", dnsmessage.TypeA, 0, []string{"198.19.0.5"}},
		"and by its search domain": {
			"api.shop.internal.connect.skein.", dnsmessage.TypeA, 0, []string{"198.19.0.5"}},
		"an alias has no address of IPv6": {"b.", dnsmessage.TypeAAAA, 0, none},
		"a search domain without the alias": {
			"web.connect.skein.", dnsmessage.TypeA, dnsmessage.RCodeNameError, none},
		"the search domain itself": {"connect.skein.", dnsmessage.TypeA, 0, none},
		"the zone itself":          {"skein.", dnsmessage.TypeA, 0, none},
		"the zone's authority":     {"skein.", dnsmessage.TypeSOA, 0, []string{"TypeSOA"}},
	} {
		t.Run(sentence, func(t *testing.T) {
			s := &Server{}
			s.names.Store(NewNames(world(), 7, aliasAddr))
			q, b := s.answer(asked(t, c.name, c.kind, maxUDP), true)
			code, got, m := read(t, b)
			if code != c.code || !cmp.Equal(got, c.want) {
				t.Errorf("%v %s: %v %v, want %v %v", c.kind, c.name, code, got, c.code, c.want)
			}
			if q == nil || m.ID != 4711 || !m.Response || !m.Authoritative || !m.RecursionDesired || m.Truncated {
				t.Errorf("header %+v", m.Header)
			}
			if len(m.Answers) == 0 && (len(m.Authorities) != 1 || m.Authorities[0].Header.Type != dnsmessage.TypeSOA) {
				t.Errorf("an answer of nothing says not for how long: %+v", m.Authorities)
			}
			if c.kind == dnsmessage.TypeSRV && len(m.Additionals) != len(m.Answers)+1 {
				t.Errorf("%d additional records with %d answers", len(m.Additionals), len(m.Answers))
			}
		})
	}
}

func TestOtherNamesAreNotOurs(t *testing.T) {
	for _, name := range []string{"example.org.", ".", "skein.example.", "notskein.", "com.", "shop.internal.", "x.b."} {
		s := &Server{}
		s.names.Store(NewNames(world(), 7, aliasAddr))
		if q, b := s.answer(asked(t, name, dnsmessage.TypeA, 0), true); q == nil || b != nil {
			t.Errorf("%s: passed on %v, answered %x", name, q != nil, b)
		}
	}
}

// many is a service of n tasks, each on a host of its own.
func many(n int) fleet.Routes {
	r := fleet.Routes{Services: []fleet.RoutedService{{Name: "many", Ports: []fleet.RoutedPort{
		{Name: "http", Groups: []fleet.GroupWeight{{Group: "g", Weight: 10_000}}}}}}}
	var targets []fleet.Target
	for i := range n {
		addr := fmt.Sprintf("10.1.%d.%d:80", i/250, i%250)
		targets = append(targets, targetAt(fmt.Sprintf("%032x", i), addr, fleet.TargetHealthy))
	}
	r.Groups = []fleet.GroupTargets{{TargetGroup: fleet.TargetGroup{Name: "g"}, Targets: targets}}
	return r
}

func TestLargeAnswersFitWhatTheClientTakes(t *testing.T) {
	for sentence, c := range map[string]struct {
		kind      dnsmessage.Type
		edns      int
		udp       bool
		size      int
		atLeast   int
		truncated bool
	}{
		"over UDP a few addresses are enough":        {dnsmessage.TypeA, 0, true, 512, maxTargetsUDP, false},
		"over UDP without EDNS ports do not fit":     {dnsmessage.TypeSRV, 0, true, 512, 1, true},
		"over UDP with EDNS more ports do":           {dnsmessage.TypeSRV, 4_096, true, maxUDP, maxTargetsUDP, false},
		"a size below the least counts as the least": {dnsmessage.TypeA, 100, true, 512, maxTargetsUDP, false},
		"over TCP there is room":                     {dnsmessage.TypeSRV, 0, false, maxMessage, maxTargets, false},
	} {
		t.Run(sentence, func(t *testing.T) {
			s := &Server{}
			s.names.Store(NewNames(many(1_000), 7, aliasAddr))
			_, b := s.answer(asked(t, "many.skein.", c.kind, c.edns), c.udp)
			_, answers, m := read(t, b)
			if len(b) > c.size || len(answers) < c.atLeast || m.Truncated != c.truncated {
				t.Errorf("%d bytes, %d answers, truncated %v", len(b), len(answers), m.Truncated)
			}
			if len(slices.Compact(answers)) != len(m.Answers) {
				t.Errorf("answers are there twice: %v", answers)
			}
		})
	}
}

func TestQueriesThatCannotBeReadAreRefusedOrIgnored(t *testing.T) {
	good := asked(t, "web.skein.", dnsmessage.TypeA, maxUDP)
	changed := func(at int, to byte) []byte {
		b := slices.Clone(good)
		b[at] = to
		return b
	}
	ignored := dnsmessage.RCode(99)
	for sentence, c := range map[string]struct {
		message []byte
		code    dnsmessage.RCode
	}{
		"nothing":                  {nil, ignored},
		"less than a header":       {good[:11], ignored},
		"an answer":                {changed(2, 0x81), ignored},
		"far too much":             {append(slices.Clone(good), make([]byte, maxQuery)...), ignored},
		"an update":                {changed(2, 0x28), dnsmessage.RCodeNotImplemented},
		"no question":              {changed(5, 0), dnsmessage.RCodeFormatError},
		"two questions":            {changed(5, 2), dnsmessage.RCodeFormatError},
		"answers in a query":       {changed(7, 1), dnsmessage.RCodeFormatError},
		"a question that ends":     {good[:20], dnsmessage.RCodeFormatError},
		"EDNS that ends":           {good[:len(good)-4], dnsmessage.RCodeFormatError},
		"another version of EDNS":  {changed(len(good)-5, 1), 0},
		"three additional records": {changed(11, 3), dnsmessage.RCodeFormatError},
	} {
		t.Run(sentence, func(t *testing.T) {
			s := &Server{}
			s.names.Store(NewNames(world(), 7, aliasAddr))
			q, b := s.answer(c.message, true)
			if c.code == ignored {
				if q != nil || b != nil {
					t.Errorf("answered %x", b)
				}
				return
			}
			code, answers, m := read(t, b)
			if code != c.code || len(answers) > 0 || m.ID != 4711 {
				t.Errorf("%v %v %+v", code, answers, m.Header)
			}
			if sentence == "another version of EDNS" && m.Additionals[0].Header.ExtendedRCode(m.RCode) != badVersion {
				t.Errorf("extended code %v", m.Additionals[0].Header.ExtendedRCode(m.RCode))
			}
		})
	}
}

// FuzzAnswer: whatever a task sends is answered by a message that can be read, is no
// larger than the task takes, and has its id; what is passed on asks the same.
func FuzzAnswer(f *testing.F) {
	for _, name := range []string{"web.skein.", "_http._tcp.web.skein.", "example.org.", "skein."} {
		f.Add(asked(f, name, dnsmessage.TypeSRV, maxUDP), true)
		f.Add(asked(f, name, dnsmessage.TypeA, 0), false)
	}
	s := &Server{}
	s.names.Store(NewNames(world(), 7, aliasAddr))
	f.Fuzz(func(t *testing.T, message []byte, udp bool) {
		q, b := s.answer(message, udp)
		switch {
		case b != nil:
			var m dnsmessage.Message
			must(t, m.Unpack(b))
			if udp && len(b) > q.udpSize || b[0] != message[0] || b[1] != message[1] || !m.Response {
				t.Fatalf("answer of %d bytes to a client that takes %d: %+v", len(b), q.udpSize, m.Header)
			}
		case q != nil:
			passed, err := q.passedOn()
			must(t, err)
			again, refusal, err := readQuery(passed)
			if err != nil || refusal != 0 || again.question != q.question || again.do != q.do || again.udpSize != q.udpSize {
				t.Fatalf("asked on: %+v %v %v, asked %+v", again, refusal, err, q)
			}
		}
	})
}

// FuzzAnsweredBy: whatever a resolver sends is taken for an answer only with the id and
// the question that it was asked.
func FuzzAnsweredBy(f *testing.F) {
	question := asked(f, "example.org.", dnsmessage.TypeA, 0)
	q, _, err := readQuery(question)
	must(f, err)
	addr := netip.MustParseAddr("192.0.2.1")
	answer, err := q.pack(reply{answers: []record{address("example.org.", addr, 60)}}, plainUDP)
	must(f, err)
	f.Add(answer)
	f.Add(question)
	f.Fuzz(func(t *testing.T, b []byte) {
		code, ok := q.answeredBy(b, question)
		if !ok {
			return
		}
		var p dnsmessage.Parser
		h, err := p.Start(b)
		must(t, err)
		asks, err := p.Question()
		if h.ID != 4711 || code == 0 && (err != nil || asks.Type != dnsmessage.TypeA) {
			t.Fatalf("took %+v %+v for an answer", h, asks)
		}
	})
}

func TestEveryElementIsDrawnAsOftenAndNoneTwice(t *testing.T) {
	list := []int{0, 1, 2, 3, 4, 5, 6, 7, 8, 9}
	firsts := map[int]int{}
	for range 10_000 {
		drawn := draw(list, 3)
		firsts[drawn[0]]++
		if drawn[0] == drawn[1] || drawn[1] == drawn[2] || drawn[0] == drawn[2] {
			t.Fatalf("%v", drawn)
		}
	}
	for _, n := range list {
		if firsts[n] < 800 || firsts[n] > 1_200 { // 1,000 are expected, with a deviation of 30
			t.Errorf("%d was drawn first %d times of 10,000", n, firsts[n])
		}
	}
	for _, n := range []int{0, 10, 11} {
		if got := len(draw(list, n)); got != min(n, 10) {
			t.Errorf("%d drawn of 10, want %d", got, n)
		}
	}
	if !slices.IsSorted(list) {
		t.Error("the list was changed")
	}
}
