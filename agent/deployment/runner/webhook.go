package runner

import (
	"bytes"
	"context"
	"fmt"
	"net/http"

	"skein/agent/deployment"
	"skein/agent/effects"
)

const (
	// headerKey is the same in every call of one run of a hook.
	headerKey = "Idempotency-Key"
	maxSecret = 4 << 10
)

// webhook calls a webhook once. A server that cannot be asked, or does not answer, says
// nothing: it is asked again. All that it answers is a verdict.
func (r *runners) webhook(ctx context.Context, job effects.Job) effects.Answer {
	in, err := deployment.ReadWebhook(job.Input)
	if err != nil {
		return verdict(deployment.Failure("its call cannot be read: " + err.Error()))
	}
	if why, retry := r.refused(in.URL); retry != nil {
		return *retry
	} else if why != "" {
		return verdict(deployment.Failure(why))
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, in.URL, bytes.NewReader(in.Body))
	if err != nil {
		return verdict(deployment.Failure(clean(err).Error()))
	}
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set(headerKey, job.Token)
	if err = r.sign(request, in); err != nil {
		return effects.Retry(err.Error())
	}
	answer, retry := r.call(request)
	switch {
	case retry != nil:
		return *retry
	case answer.redirects():
		return verdict(deployment.Failure(fmt.Sprintf("it redirects to %s, which is not followed: name that address",
			answer.location)))
	case answer.status != http.StatusOK:
		return verdict(deployment.Failure(fmt.Sprintf("status %d %s, 200 is needed", answer.status,
			http.StatusText(answer.status))))
	}
	return verdict(deployment.ParseAnswer(answer.body))
}

// sign signs a request with the secret of the hook. A host without the file leaves the
// call to another.
func (r *runners) sign(request *http.Request, in deployment.Webhook) error {
	if in.SecretFile == "" {
		return nil
	}
	secret, err := r.ReadFile(in.SecretFile, maxSecret)
	if err != nil {
		return fmt.Errorf("its secret: %w", err)
	}
	if secret = bytes.TrimSpace(secret); len(secret) == 0 {
		return fmt.Errorf("its secret: %s is empty", in.SecretFile)
	}
	timestamp, signature := deployment.Sign(secret, r.Now(), in.Body)
	request.Header.Set(deployment.HeaderTimestamp, timestamp)
	request.Header.Set(deployment.HeaderSignature, signature)
	return nil
}

func verdict(v deployment.Verdict) effects.Answer { return done(v.Encode()) }

func done(outcome []byte, err error) effects.Answer {
	if err != nil {
		return effects.Failed("its outcome: " + err.Error())
	}
	return effects.Done(outcome)
}
