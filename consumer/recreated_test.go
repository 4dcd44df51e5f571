package consumer_test

import (
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// A topic that is deleted and made anew under its name is read from its beginning. kgo stays with the
// one that it knew for ever, and answers UNKNOWN_TOPIC_ID.
func TestTopicMadeAnew(t *testing.T) {
	t.Parallel()
	k := startKafka(t)
	e := newEffects()
	k.produce(0, 100)
	r := k.start(k.config(), e.handler(0, false))
	k.until("the commit of all", func() bool { return k.committed() == 100 })
	cl, err := kgo.NewClient(kgo.SeedBrokers(k.cluster.ListenAddrs()...))
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	if _, err := kadm.NewClient(cl).DeleteTopic(t.Context(), topic); err != nil {
		t.Fatal(err)
	}
	k.createTopic(topic, 4)
	k.client.PurgeTopicsFromClient(topic) // it knows the old one
	k.produce(1000, 50)
	k.until("what is in the new topic", func() bool { return e.distinct() == 150 })
	r.finish()
}
