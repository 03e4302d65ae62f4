//go:build !failpoints

package failpoint

// Enabled reports whether this build contains failpoints.
const Enabled = false

// Hit does nothing and returns nil.
func Hit(name string) error { return nil }

// Register does nothing.
func Register(names ...string) struct{} { return struct{}{} }

// Names returns nil.
func Names() []string { return nil }

// Set arms nothing and returns nil.
func Set(name, action string) error { return nil }
