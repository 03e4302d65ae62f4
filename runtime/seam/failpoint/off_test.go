//go:build !failpoints

package failpoint_test

import (
	"testing"

	"skein/runtime/seam/failpoint"
)

func TestWithoutTheTagNothingCanBeArmed(t *testing.T) {
	if failpoint.Enabled {
		t.Fatal("Enabled is true without the tag")
	}
	if err := failpoint.Set("a/place", "error"); err != nil {
		t.Fatal(err)
	}
	if err := failpoint.Hit("a/place"); err != nil {
		t.Errorf("Hit returned %v", err)
	}
	if names := failpoint.Names(); names != nil {
		t.Errorf("Names returned %q", names)
	}
}
