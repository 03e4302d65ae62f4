// Command probe is built by the test that proves release builds contain no
// failpoints: its place's name must not be in the binary.
package main

import (
	"os"

	"skein/runtime/seam/failpoint"
)

var _ = failpoint.Register("probe/registered-place-in-the-binary")

func main() {
	if err := failpoint.Hit("probe/hit-place-in-the-binary"); err != nil {
		os.Exit(3)
	}
}
