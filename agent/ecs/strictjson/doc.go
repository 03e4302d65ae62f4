// Package strictjson reads JSON that came from outside against a table of
// known fields, and says by path what it refuses.
//
// It owns the guards (size before decode, depth, duplicate keys, trailing data,
// UTF-8, exact numbers), the [Table] that gives every field a fate, and the
// [Object] readers that collect every problem of a document instead of the
// first. It knows nothing of what the fields mean.
//
// Everything here is pure. Values are immutable after [Parse]; a [Problems] is
// for one goroutine.
package strictjson
