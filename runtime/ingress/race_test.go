//go:build race

package ingress_test

const raceDetector = true
