package tap

import (
	"errors"
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// TestCorruptFetch: a client that checks CRCs reads the batch again.
func TestCorruptFetch(t *testing.T) {
	f := newFixture(t)
	f.produce(60)
	payload := f.tap.Add(Rule{Key: kmsg.Fetch.Int16(), Direction: Response, Topic: testTopic, Times: 2, Action: Corrupt{}})
	checksum := f.tap.Add(Rule{Key: kmsg.Fetch.Int16(), Direction: Response, Topic: testTopic, After: 2, Times: 2, Action: Corrupt{Checksum: true}})
	r := newReader(f, f.open("m1", 1))
	r.await(60)
	if payload.Hits() != 2 || checksum.Hits() != 2 {
		t.Errorf("%d and %d hits", payload.Hits(), checksum.Hits())
	}
	r.end()
}

// TestCorruptUnchecked: a client that does not check takes what was never written.
func TestCorruptUnchecked(t *testing.T) {
	for name, action := range map[string]Corrupt{"payload": {}, "checksum": {Checksum: true}} {
		t.Run(name, func(t *testing.T) {
			f := newFixtureOf(t, 1)
			f.produce(1)
			f.tap.Add(Rule{Key: kmsg.Fetch.Int16(), Direction: Response, Times: 1, Action: action})
			c := through(f, f.open("m1", 1), kgo.ConsumeTopics(testTopic), kgo.DisableFetchCRCValidation())
			defer c.Close()
			got := c.PollFetches(f.ctx).Records()
			if whole := len(got) == 1 && string(got[0].Value) == "value-000000"; len(got) != 1 || whole != action.Checksum {
				t.Errorf("read %v", got)
			}
		})
	}
}

// TestWeakSpot: the damage is in the value, where it shows.
func TestWeakSpot(t *testing.T) {
	b := batchFor("abcde")
	if at := weakSpot(b); string(b[at-2:at+3]) != "abcde" {
		t.Errorf("byte %d of %q", at, b)
	}
	b[batchAttributes+1] |= 4 // zstd, as it were
	if at := weakSpot(b); at != len(b)-1 {
		t.Errorf("byte %d of %d", at, len(b))
	}
}

// TestCorruptProduce: the broker refuses what has a wrong CRC.
func TestCorruptProduce(t *testing.T) {
	f := newFixture(t)
	p := producer(f, f.open("m1", 1), kgo.RecordRetries(0))
	defer p.Close()
	f.tap.Add(Rule{Key: kmsg.Produce.Int16(), Times: 1, Action: Corrupt{}})
	if err := p.ProduceSync(f.ctx, onPartition(3, "abc")).FirstErr(); !errors.Is(err, kerr.CorruptMessage) {
		t.Errorf("a corrupt batch: %v", err)
	}
	if err := p.ProduceSync(f.ctx, onPartition(3, "abc")).FirstErr(); err != nil {
		t.Errorf("the next one: %v", err)
	}
	if ends := f.ends(); ends[3] != 1 {
		t.Errorf("the broker has %d records", ends[3])
	}
}
