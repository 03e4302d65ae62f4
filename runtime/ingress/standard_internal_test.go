package ingress

import "testing"

func TestAHandlerThatBeginsWhenItsConnectionHasEndedDoesNothing(t *testing.T) {
	var h handlers
	if !h.begin() {
		t.Fatal("the first may not begin")
	}
	ended := make(chan struct{})
	go func() { h.end(); close(ended) }()
	select {
	case <-ended:
		t.Error("the end did not wait for a handler that runs")
	default:
	}
	h.running.Done()
	<-ended
	if h.begin() {
		t.Error("a handler begins that nobody waits for")
	}
}
