package containerd

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/containerd/containerd/v2/core/remotes/docker"
	remoteerrors "github.com/containerd/containerd/v2/core/remotes/errors"
	"github.com/containerd/errdefs"
	"github.com/containerd/errdefs/pkg/errgrpc"
	"google.golang.org/grpc/status"

	"skein/runtime/port"
)

// fault turns an error of the daemon into the port's. A deadline that was ours,
// not the caller's, means that the daemon does not answer.
func (c *Client) fault(ctx context.Context, doing string, err error) error {
	if err == nil {
		return nil
	}
	native := toNative(err)
	switch {
	case ctx.Err() == context.Canceled:
		return fmt.Errorf("%s: %w", doing, context.Canceled)
	case over(ctx):
		return fmt.Errorf("%s: %w: %w: %w", doing, port.ErrRuntimeDown, context.DeadlineExceeded, native)
	case errdefs.IsUnavailable(native), errdefs.IsDeadlineExceeded(native), errors.Is(err, context.DeadlineExceeded),
		shimGone(native):
		return fmt.Errorf("%s: %w: %w", doing, port.ErrRuntimeDown, native)
	default:
		return fmt.Errorf("%s: %w", doing, native)
	}
}

// over reports whether a context's time is up. The daemon is told the deadline and
// may say so first, in words of its own.
func over(ctx context.Context) bool {
	const ahead = 100 * time.Millisecond
	deadline, ok := ctx.Deadline()
	return ctx.Err() != nil || ok && time.Until(deadline) < ahead
}

// toNative gives an answer of the daemon the library's own errors. Some calls of
// the library have done so already, and a second time would lose them.
func toNative(err error) error {
	if _, answer := status.FromError(err); answer {
		return errgrpc.ToNative(err)
	}
	return err
}

// missing reports the daemon's word that something does not exist.
func missing(err error) bool { return errdefs.IsNotFound(toNative(err)) }

func exists(err error) bool { return errdefs.IsAlreadyExists(toNative(err)) }

// shimGone: the daemon has lost a container's shim and not noticed yet. It has
// only words for it: github.com/containerd/containerd/issues/11505.
func shimGone(err error) bool { return strings.Contains(err.Error(), "ttrpc: closed") }

// pullFault tells a missing image from a registry that does not serve, and both
// from a daemon that is down. Access denied counts as missing: registries hide
// what one may not see, and trying again does not help.
func (c *Client) pullFault(ctx context.Context, doing string, err error) error {
	var answer remoteerrors.ErrUnexpectedStatus
	var request *url.Error
	var connection *docker.Error
	switch {
	case err == nil:
		return nil
	case errors.Is(err, port.ErrImageNotFound), errors.Is(err, port.ErrRegistry):
		return fmt.Errorf("%s: %w", doing, err)
	case errors.As(err, &answer) && refusedForGood(answer.StatusCode), errors.Is(err, docker.ErrInvalidAuthorization):
		return fmt.Errorf("%s: %w: access denied or no such repository: %w", doing, port.ErrImageNotFound, err)
	case errors.As(err, &answer), errors.As(err, &request), errors.As(err, &connection), errors.Is(err, errStalled):
		return fmt.Errorf("%s: %w: %w", doing, port.ErrRegistry, err)
	case missing(err):
		return fmt.Errorf("%s: %w: %w", doing, port.ErrImageNotFound, err)
	case corrupt(err):
		return fmt.Errorf("%s: %w: sent something else: %w", doing, port.ErrRegistry, err)
	default:
		return c.fault(ctx, doing, err)
	}
}

// corrupt: what arrived is not what its digest says.
func corrupt(err error) bool { return errdefs.IsFailedPrecondition(toNative(err)) }

func refusedForGood(status int) bool {
	return status == http.StatusUnauthorized || status == http.StatusForbidden || status == http.StatusNotFound
}
