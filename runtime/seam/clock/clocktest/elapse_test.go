package clocktest_test

import (
	"testing"
	"testing/synctest"
	"time"

	"skein/runtime/seam/clock/clocktest"
)

func TestTimePassesInABubbleAndNowhereElse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begin := time.Now()
		clocktest.Elapse(time.Hour)
		if got := time.Since(begin); got != time.Hour {
			t.Errorf("%s passed", got)
		}
	})
	defer func() {
		if recover() == nil {
			t.Error("real time was let pass")
		}
	}()
	clocktest.Elapse(0)
}
