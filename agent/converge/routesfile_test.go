package converge

import (
	"bytes"
	"errors"
	"fmt"
	"net/netip"
	"reflect"
	"testing"

	"skein/raftfsm/fleet"
	"skein/runtime/seam/vfs"
)

// sampleRoutes has more of everything than one piece takes.
func sampleRoutes(rules, groups, targets int) SavedRoutes {
	s := SavedRoutes{Host: "h-1", Fleet: "f1", Epoch: 2, Index: 9}
	s.Routes.Listeners = []fleet.Listener{{Name: "shop", ModifyIndex: 3, Port: 443, Protocol: fleet.ListenHTTPS,
		Certificates: []fleet.CertificateFile{{Certificate: "/c", Key: "/k"}}}}
	for i := range rules {
		s.Routes.Rules = append(s.Routes.Rules, fleet.Rule{ID: fleet.MakeRuleID("shop", fmt.Sprint(i)), Listener: "shop",
			Priority: i + 1, Conditions: []fleet.RuleCondition{{Field: fleet.FieldHost, Values: []string{"a"}}},
			Action: fleet.Action{Forward: &fleet.Forward{Groups: []fleet.GroupWeight{{Group: "g0000", Weight: 10_000}}}}})
	}
	for i := range groups {
		g := fleet.GroupTargets{TargetGroup: fleet.TargetGroup{Name: fleet.TargetGroupName(fmt.Sprintf("g%04d", i)),
			Protocol: fleet.GroupTCP, TargetsModifyIndex: 7}}
		for n := range targets {
			g.Targets = append(g.Targets, fleet.Target{Task: fleet.TaskID(fmt.Sprintf("%032x", n)), Host: "h-1", Zone: "a",
				Addr: netip.MustParseAddrPort("10.0.0.1:49153"), State: fleet.TargetHealthy, Since: 5})
		}
		s.Routes.Groups = append(s.Routes.Groups, g)
	}
	return s
}

func TestARoutesFileComesBackAsItWas(t *testing.T) {
	for name, want := range map[string]SavedRoutes{
		"little":           sampleRoutes(1, 1, 1),
		"many rules":       sampleRoutes(300, 1, 0),
		"many groups":      sampleRoutes(1, 1_000, 2),
		"a group of many":  sampleRoutes(1, 2, 5_000),
		"a target too few": sampleRoutes(33, 3, 1_023),
	} {
		t.Run(name, func(t *testing.T) {
			fsys := vfs.NewMem()
			if err := makeFolder(fsys, "/d", 0o700); err != nil {
				t.Fatal(err)
			}
			if err := saveRoutes(fsys, "/d", want); err != nil {
				t.Fatal(err)
			}
			fsys.Crash()
			got, err := openRoutes(fsys, "/d")
			if err != nil || got == nil || !reflect.DeepEqual(*got, want) {
				t.Errorf("read with %v, the same: %v", err, got != nil && reflect.DeepEqual(*got, want))
			}
		})
	}
}

func TestARoutesFileThatIsCutOrChangedIsSetAside(t *testing.T) {
	whole, err := encodeRoutes(sampleRoutes(2, 2, 2))
	if err != nil {
		t.Fatal(err)
	}
	for n := range whole {
		changed := bytes.Clone(whole)
		changed[n] ^= 0x20
		for what, file := range map[string][]byte{"cut": whole[:n], "changed": changed} {
			if _, err := decodeRoutes(file); !errors.Is(err, errDamaged) {
				t.Errorf("%s at %d: %v, want errDamaged", what, n, err)
			}
		}
	}
	fsys := vfs.NewMem()
	if err := makeFolder(fsys, "/d", 0o700); err != nil {
		t.Fatal(err)
	}
	if err := vfs.WriteFileAtomic(fsys, "/d/"+routesName, whole[1:], filePerm); err != nil {
		t.Fatal(err)
	}
	if s, err := openRoutes(fsys, "/d"); s != nil || !errors.Is(err, errDamaged) {
		t.Errorf("%+v, %v", s, err)
	}
	if s, err := openRoutes(fsys, "/d"); s != nil || err != nil {
		t.Errorf("it was not set aside: %+v, %v", s, err)
	}
}

func FuzzRoutes(f *testing.F) {
	whole, err := encodeRoutes(sampleRoutes(2, 2, 2))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(whole)
	f.Fuzz(func(t *testing.T, b []byte) {
		s, err := decodeRoutes(b)
		if err != nil {
			return
		}
		again, err := encodeRoutes(s)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := decodeRoutes(again); err != nil || !reflect.DeepEqual(got, s) {
			t.Errorf("read %+v, written and read again %+v, %v", s, got, err)
		}
	})
}
