package peer

import (
	"testing"

	"skein/agent/effects"
	"skein/agent/peer/detector"
	"skein/agent/peer/protocol"
	"skein/raftfsm/fleet/wire/corpustest"
)

// Messages between agents that are no frames of a stream and no part of joining.
func TestTheCorpusKnowsEveryField(t *testing.T) {
	corpustest.CheckFields(t, map[string]any{
		"ping":          PingAnswer{},
		"session-grant": protocol.SessionGrant{},
		"report-answer": ReportAnswer{},
		"renew":         RenewRequest{},
		"probe":         probeRequest{},
		"probe-answer":  probeAnswer{},
		"ages":          detector.Ages{},
		"ages-answer":   detector.AgesAck{},
		"heard":         heardAsk{},
		"heard-answer":  heardAnswer{},
		"relay":         relayed{},
		"propose":       ProposeAnswer{},
		"commit":        CommitAnswer{},
		"current":       currentAsk{},
		"current-is":    currentAnswer{},
		"prepare":       handover{},
		"retire":        retirement{},
		"effect":        effects.Request{},
		"effect-answer": effects.Answer{},
	})
}
