package peer

import (
	"testing"

	"go.uber.org/goleak"
)

// Ports and links that have ended leave nothing running.
func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }
