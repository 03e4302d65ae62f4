package stream

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"net/url"
	"testing"

	"skein/agent/peer/protocol"
	"skein/raftfsm/fleet"
	"skein/raftfsm/fleet/wire"
)

func TestReadHostFrameRefusesALargeFrameBeforeItReadsIt(t *testing.T) {
	head := binary.BigEndian.AppendUint32(nil, MaxHostFrame+1)
	var f HostFrame
	err := ReadHostFrame(bufio.NewReader(bytes.NewReader(head)), &f)
	if !errors.Is(err, protocol.ErrTooLarge) {
		t.Errorf("got %v, want %v", err, protocol.ErrTooLarge)
	}
}

func FuzzReadHostFrame(f *testing.F) {
	var good bytes.Buffer
	if err := wire.WriteFrame(&good,
		HostFrame{LateMs: 3, Starved: true, Capacity: &fleet.CapacityReport{Host: "h-1", Nonce: 1, Seq: 2}}); err != nil {
		f.Fatal(err)
	}
	f.Add(good.Bytes())
	f.Add([]byte{0, 0, 0, 1, 0xa0})
	f.Add([]byte{0xff, 0xff, 0xff, 0xff})
	f.Fuzz(func(_ *testing.T, b []byte) {
		r := bufio.NewReader(bytes.NewReader(b))
		for range 10 {
			var frame HostFrame
			if err := ReadHostFrame(r, &frame); err != nil {
				return
			}
		}
	})
}

func TestAPositionSurvivesItsQuery(t *testing.T) {
	for _, want := range []Position{{}, {Epoch: 1, Index: 1 << 63, Session: 7, Resume: true}} {
		q, err := url.ParseQuery(want.Query())
		if err != nil {
			t.Fatal(err)
		}
		if got, err := ParsePosition(q); err != nil || got != want {
			t.Errorf("got %+v (%v), want %+v", got, err, want)
		}
	}
	for _, query := range []string{"", "epoch=-1&index=1&session=1", "epoch=1&index=x&session=1", "epoch=1&index=1"} {
		q, _ := url.ParseQuery(query)
		if _, err := ParsePosition(q); err == nil {
			t.Errorf("%q is taken", query)
		}
	}
}
