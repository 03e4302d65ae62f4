package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"skein/agent/api/types"
)

// hookCommand are programs for task hooks of deployments: their exit code is the verdict,
// and their last line is shown with it.
type hookCommand struct {
	Digest hookDigestCommand `cmd:"" help:"Succeed if the new version runs the image that it should." example:"skein hook digest --service web --expect-tag digest --address 127.0.0.1:7702"`
	Smoke  hookSmokeCommand  `cmd:"" help:"Succeed if requests, by the test rule, are answered well." example:"skein hook smoke http://127.0.0.1/health --header x-amzn-ecs-blue-green-test=1"`
}

type hookDigestCommand struct {
	target
	Service   string `required:"" help:"Whose new version is looked at." placeholder:"SERVICE"`
	Container string `help:"Whose image it is, where there are several containers." placeholder:"CONTAINER"`
	Expect    string `help:"The digest that it should have." placeholder:"DIGEST"`
	ExpectTag string `name:"expect-tag" help:"The tag of the service that holds the digest." placeholder:"KEY"`
}

// Run compares digests.
func (c *hookDigestCommand) Run(ctx context.Context) error {
	if (c.Expect == "") == (c.ExpectTag == "") {
		return &usageError{errors.New("give --expect or --expect-tag: what the digest is compared with")}
	}
	agent, err := c.client(ctx)
	if err != nil {
		return err
	}
	var s types.Service
	if _, err := agent.Get(ctx, "/v1/services/"+url.PathEscape(c.Service), &s); err != nil {
		return err
	}
	expected := c.Expect
	if c.ExpectTag != "" {
		if expected = s.Tags[c.ExpectTag]; expected == "" {
			return fmt.Errorf("service %s has no tag %s that says which digest is expected", printable(c.Service),
				printable(c.ExpectTag))
		}
	}
	if err := matchDigest(&s, c.Container, expected); err != nil {
		return err
	}
	fmt.Printf("%s runs %s, as expected\n", printable(s.Revision), printable(expected))
	return nil
}

// matchDigest refuses a revision whose image is another than the one expected.
func matchDigest(s *types.Service, container, expected string) error {
	var found []types.Image
	for _, i := range s.Images {
		if container == "" || i.Container == container {
			found = append(found, i)
		}
	}
	switch {
	case len(found) == 0:
		return fmt.Errorf("%s has no container %s", printable(s.Revision), printable(container))
	case len(found) > 1:
		return fmt.Errorf("%s has %d containers: say which with --container", printable(s.Revision), len(found))
	case found[0].Digest == "":
		return fmt.Errorf("%s: the image %s is not pinned to a digest", printable(s.Revision), printable(found[0].Image))
	case found[0].Digest != expected:
		return fmt.Errorf("%s runs %s, expected is %s", printable(s.Revision), printable(found[0].Digest),
			printable(expected))
	}
	return nil
}

type hookSmokeCommand struct {
	URL      string            `arg:"" help:"What is asked for, through a host's ingress."`
	Header   map[string]string `help:"Header of the requests, NAME=VALUE: the one that the test rule takes." placeholder:"NAME=VALUE"`
	Host     string            `help:"Host that is asked for, where it is another than the URL's." placeholder:"NAME"`
	Count    int               `help:"How many requests, all of which must be well." default:"10"`
	Status   int               `help:"The status that is well; without it 200 to 399." placeholder:"CODE"`
	Contains string            `help:"Text that the answer holds." placeholder:"TEXT"`
	Within   time.Duration     `help:"How long an answer may take." default:"10s"`
}

// maxSmokeAnswer bounds what is read of an answer.
const maxSmokeAnswer = 1 << 20

// Run sends requests until one is not well.
func (c *hookSmokeCommand) Run(ctx context.Context) error {
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	var slowest time.Duration
	for n := 1; n <= c.Count; n++ {
		took, err := c.ask(ctx, client)
		if err != nil {
			return fmt.Errorf("request %d of %d to %s: %w", n, c.Count, printable(c.URL), err)
		}
		slowest = max(slowest, took)
	}
	fmt.Printf("%d requests to %s were well, the slowest took %s\n", c.Count, printable(c.URL),
		slowest.Round(time.Millisecond))
	return nil
}

// ask sends one request; its error says what is wrong with the answer.
func (c *hookSmokeCommand) ask(ctx context.Context, client *http.Client) (time.Duration, error) {
	ctx, stop := context.WithTimeout(ctx, c.Within)
	defer stop()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, c.URL, nil)
	if err != nil {
		return 0, &usageError{err}
	}
	request.Host = c.Host
	for name, value := range c.Header {
		request.Header.Set(name, value)
	}
	began := time.Now()
	answer, err := client.Do(request)
	if errors.Is(err, context.DeadlineExceeded) {
		return 0, fmt.Errorf("no answer within %s", c.Within)
	} else if err != nil {
		return 0, err
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(io.LimitReader(answer.Body, maxSmokeAnswer))
	switch {
	case err != nil:
		return 0, err
	case c.Status != 0 && answer.StatusCode != c.Status:
		return 0, fmt.Errorf("status %d, %d is needed", answer.StatusCode, c.Status)
	case c.Status == 0 && (answer.StatusCode < 200 || answer.StatusCode > 399):
		return 0, fmt.Errorf("status %d, 200 to 399 is needed", answer.StatusCode)
	case !strings.Contains(string(body), c.Contains):
		return 0, fmt.Errorf("the answer does not contain %q", c.Contains)
	}
	return time.Since(began), nil
}
