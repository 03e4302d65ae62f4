//go:build !nextformat

package write

// nextFormatEndpoints are what builds with the tag nextformat have more: see
// fleet.FormatVersion.
func nextFormatEndpoints() []Endpoint { return nil }
