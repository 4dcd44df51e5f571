package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"time"

	"github.com/IBM/sarama"
)

type fate int

const (
	applied fate = iota
	poison
	notOwner
	unavailable
)

type answer struct {
	fate       fate
	reason     string
	retryAfter time.Duration // 0 where nothing is asked
}

// effects is the downstream system: one HTTP POST for each record, over connections that are kept.
type effects struct {
	url    string
	client *http.Client
}

func newEffects(url string) *effects {
	// One connection for each partition may be in use at a time.
	return &effects{url: url, client: &http.Client{Timeout: actionTimeout, Transport: &http.Transport{MaxIdleConnsPerHost: 64}}}
}

func (e *effects) apply(r *sarama.ConsumerMessage) answer {
	// A tombstone has no value; it is an effect like any other.
	request, err := http.NewRequest(http.MethodPost, e.url, bytes.NewReader(r.Value))
	if err != nil {
		return answer{fate: unavailable, reason: err.Error()}
	}
	request.Header.Set("Ksim-Record", fmt.Sprintf("%s/%d/%d", r.Topic, r.Partition, r.Offset))
	response, err := e.client.Do(request)
	if err != nil {
		// Nobody knows whether it was applied: at-least-once means again.
		return answer{fate: unavailable, reason: "no answer: " + err.Error()}
	}
	body, err := io.ReadAll(response.Body)
	if err = errors.Join(err, response.Body.Close()); err != nil {
		return answer{fate: unavailable, reason: "half an answer: " + err.Error()}
	}
	seconds, err := strconv.ParseFloat(response.Header.Get("Retry-After"), 64)
	if err != nil { // absent, or a date
		seconds = 0
	}
	return answer{
		fate:       fateOf(response.StatusCode),
		reason:     fmt.Sprintf("HTTP %d: %s", response.StatusCode, body),
		retryAfter: time.Duration(seconds * float64(time.Second)),
	}
}

func fateOf(status int) fate {
	switch {
	case status >= 200 && status < 300:
		return applied
	case status == http.StatusConflict:
		return notOwner
	case status == http.StatusRequestTimeout, status == http.StatusTooManyRequests:
		return unavailable // about the moment; other 4xx are about the record
	case status >= 400 && status < 500:
		return poison
	}
	return unavailable
}
