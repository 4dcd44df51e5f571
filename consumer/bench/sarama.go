package main

import (
	"context"
	"errors"
	"time"

	"github.com/IBM/sarama"
)

// consumeSarama takes batches from the channel of each claim, marks their last record,
// and commits every interval.
func consumeSarama(ctx context.Context, s setup, m *meter) error {
	cfg := sarama.NewConfig()
	cfg.ClientID = "bench"
	cfg.Version = sarama.MaxVersion
	cfg.ChannelBufferSize = 2 * batchSize // the default of 256 is less than a batch
	cfg.Consumer.Offsets.Initial = sarama.OffsetOldest
	cfg.Consumer.Offsets.AutoCommit.Enable = false
	cfg.Consumer.Fetch.Default = fetchMaxPartition
	cfg.Consumer.Fetch.MaxBytes = int32(s.FetchMax)
	cfg.Consumer.MaxWaitTime = fetchMaxWait
	cfg.Consumer.IsolationLevel = sarama.ReadCommitted
	group, err := sarama.NewConsumerGroup(s.Brokers, s.Group, cfg)
	if err != nil {
		return err
	}
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	h := &saramaHandler{meter: m, stop: stop}
	for ctx.Err() == nil {
		if err := group.Consume(ctx, []string{topic}, h); err != nil && ctx.Err() == nil {
			return err
		}
	}
	return group.Close()
}

type saramaHandler struct {
	meter *meter
	stop  context.CancelFunc
}

// Setup implements sarama.ConsumerGroupHandler.
func (h *saramaHandler) Setup(session sarama.ConsumerGroupSession) error {
	go func() {
		tick := time.NewTicker(commitEvery)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				session.Commit()
			case <-h.meter.full:
				session.Commit()
				h.meter.committed()
				h.stop()
				return
			case <-session.Context().Done():
				return
			}
		}
	}()
	return nil
}

// Cleanup implements sarama.ConsumerGroupHandler.
func (h *saramaHandler) Cleanup(sarama.ConsumerGroupSession) error { return nil }

// ConsumeClaim implements sarama.ConsumerGroupHandler.
func (h *saramaHandler) ConsumeClaim(session sarama.ConsumerGroupSession, claim sarama.ConsumerGroupClaim) error {
	batch := make([]*sarama.ConsumerMessage, 0, batchSize)
	records := claim.Messages()
	for {
		batch = batch[:0]
		select {
		case r, ok := <-records:
			if !ok {
				return nil
			}
			batch = append(batch, r)
		case <-session.Context().Done():
			return nil
		}
	more:
		for len(batch) < batchSize {
			select {
			case r, ok := <-records:
				if !ok {
					return errors.New("the claim ended in the middle of a batch")
				}
				batch = append(batch, r)
			default:
				break more
			}
		}
		h.meter.start()
		session.MarkMessage(batch[len(batch)-1], "")
		h.meter.handle(len(batch)) // after the mark: the last commit must have all marks
	}
}
