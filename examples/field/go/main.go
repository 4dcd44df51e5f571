// Command field consumes as the documentation of other Kafka libraries has it: field kafka-go, field watermill,
// field sarama, field confluent, field franz-go. See docs/track-record.md.
//
// It is a module of its own so that these libraries stay out of ksim's dependencies.
package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log"
	"net/http"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"time"
)

var libraries = map[string]func(context.Context) error{
	"kafka-go": kafkaGo, "watermill": consumeWatermill, "sarama": consumeSarama, "confluent": consumeConfluent, "franz-go": franz,
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	if len(os.Args) != 2 || libraries[os.Args[1]] == nil {
		log.Fatal("field takes one of kafka-go, watermill, sarama, confluent, franz-go")
	}
	if err := libraries[os.Args[1]](ctx); err != nil && ctx.Err() == nil {
		log.Fatal(err)
	}
}

func brokers() []string { return strings.Split(os.Getenv("KSIM_BOOTSTRAP_SERVERS"), ",") }

func millis(name string) time.Duration {
	n, err := strconv.Atoi(os.Getenv(name))
	if err != nil {
		log.Fatalf("%s: %v", name, err)
	}
	return time.Duration(n) * time.Millisecond
}

// process is the business action: it tells the downstream system of a record.
func process(topic string, partition int32, offset int64, value []byte) error {
	req, err := http.NewRequest(http.MethodPost, os.Getenv("KSIM_SINK_URL"), bytes.NewReader(value))
	if err != nil {
		return err
	}
	req.Header.Set("Ksim-Record", fmt.Sprintf("%s/%d/%d", topic, partition, offset))
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	_, _ = io.Copy(io.Discard, resp.Body)
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("the downstream system said %s", resp.Status)
	}
	return nil
}
