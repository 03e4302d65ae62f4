// Package failpoint lets a test make named places in the code fail, wait, panic
// or kill the process.
//
// A place says so with one line:
//
//	if err := failpoint.Hit("raftfsm/before-append"); err != nil {
//		return err
//	}
//
// Only a build with the tag "failpoints" contains them. Without it [Enabled] is
// false and Hit is an empty function that the compiler removes together with
// the name. With it, the environment variable SKEIN_FAILPOINTS or [Set] arms
// places:
//
//	SKEIN_FAILPOINTS="raftfsm/before-append=error;raftfsm/after-append=sleep(2s)"
//
// Actions are error (Hit returns [ErrInjected]), sleep(DURATION), panic, kill
// (SIGKILL of the own process) and off. "3*error" arms the third hit only;
// other hits pass. Everything is safe for concurrent use.
package failpoint

import "errors"

// ErrInjected is what a place armed with "error" returns.
var ErrInjected = errors.New("injected by a failpoint")

// EnvVar arms places when the process starts.
const EnvVar = "SKEIN_FAILPOINTS"
