package raftfsm

import "testing"

func TestWhoWaitsForAnIndexIsToldWhenItIsReached(t *testing.T) {
	var p progress
	reached := func(c <-chan struct{}) bool {
		select {
		case <-c:
			return true
		default:
			return false
		}
	}
	five, cancelFive := p.await(5)
	nine, cancelNine := p.await(9)
	p.reach(6)
	if !reached(five) || reached(nine) {
		t.Errorf("at 6: 5 is told %v, 9 is told %v", reached(five), reached(nine))
	}
	p.reach(4) // never back
	if six, _ := p.await(6); !reached(six) {
		t.Error("6 was reached, and is waited for")
	}
	cancelFive()
	cancelNine()
	if len(p.waits) != 0 {
		t.Errorf("%d wait after all have gone", len(p.waits))
	}
}
