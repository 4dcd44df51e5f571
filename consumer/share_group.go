package consumer

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// Names of configurations of a share group; with "group." before them, those of
// the broker, for groups that have none of their own.
const (
	shareResetConfig = "share.auto.offset.reset"
	shareLockConfig  = "share.record.lock.duration.ms"
	shareLimitConfig = "share.delivery.count.limit"
	shareBeatConfig  = "share.heartbeat.interval.ms"
)

// shareSettings is what the brokers say about a share group before it is joined.
type shareSettings struct {
	renews bool          // all brokers can renew locks
	lock   time.Duration // of a record, 0 if not known
	limit  int           // deliveries of a record, 0 if not known
	beat   time.Duration // between heartbeats, 0 if not known
}

// prepareShare writes Start to the group's configuration, and asks the brokers
// what they can do. It tries until that works or ctx ends, but for what only an
// operator can put right.
func prepareShare(ctx context.Context, cfg *ShareConfig, e *engine) (shareSettings, error) {
	log := e.log
	opts := []kgo.Opt{kgo.SeedBrokers(cfg.Brokers...), kgo.WithLogger(kafkaLog{log}), kgo.WithHooks(connectLog{log}, pulse{&e.vitals})}
	if cfg.ClientID != "" {
		opts = append(opts, kgo.ClientID(cfg.ClientID))
	}
	cl, err := kgo.NewClient(append(opts, cfg.ClientOpts...)...)
	if err != nil {
		return shareSettings{}, fmt.Errorf("consumer: %w", err)
	}
	defer cl.Close()
	backoff := Retry{Initial: 100 * time.Millisecond, Max: 10 * time.Second, Multiplier: 2, Jitter: 0.2}
	for n := 1; ; n++ {
		set, err := askShare(ctx, cl, cfg, log)
		var refused *refusedError
		if err == nil || errors.As(err, &refused) {
			return set, err
		}
		e.vitals.joinFailed(err)
		wait := backoff.after(n, 0)
		log.Warn("cannot prepare the share group yet", "wait", wait, "err", err)
		if !pause(ctx, wait) {
			return set, context.Cause(ctx)
		}
	}
}

// refusedError is what trying again cannot help.
type refusedError struct{ err error }

func (e *refusedError) Error() string { return e.err.Error() }
func (e *refusedError) Unwrap() error { return e.err }

func askShare(ctx context.Context, cl *kgo.Client, cfg *ShareConfig, log *slog.Logger) (set shareSettings, err error) {
	if set.renews, err = canRenew(ctx, cl); err != nil {
		return set, err
	}
	if !set.renews {
		log.Warn("these brokers cannot renew the lock of a record (Kafka 4.2 can): a handler call ends, and a record that waits to be tried again is given back, before the lock does")
	}
	if cfg.Start != "" {
		if err := setShareStart(ctx, cl, cfg.Group, cfg.Start); err != nil {
			return set, err
		}
	}
	group, chosen, err := shareConfigs(ctx, cl, kmsg.ConfigResourceTypeGroupConfig, cfg.Group)
	if err != nil {
		if !denied(err) && !errors.Is(err, kerr.ClusterAuthorizationFailed) && kerr.IsRetriable(err) {
			return set, err
		}
		log.Warn("cannot read the configuration of the share group", "err", err)
	}
	if err == nil && !chosen && group[shareResetConfig] != string(Earliest) {
		log.Warn("nobody has chosen where this share group starts: what was produced before it first came is not delivered; set ShareConfig.Start, or the group's " + shareResetConfig)
	}
	broker := map[string]string{}
	if group[shareLimitConfig] == "" || group[shareLockConfig] == "" {
		if broker, err = brokerConfigs(ctx, cl); err != nil {
			log.Warn("cannot read the configuration of a broker", "err", err)
		}
	}
	number := func(name string) int {
		for _, text := range []string{group[name], broker["group."+name]} {
			if n, err := strconv.Atoi(text); err == nil {
				return n
			}
		}
		return 0
	}
	set.lock = time.Duration(number(shareLockConfig)) * time.Millisecond
	set.beat = time.Duration(number(shareBeatConfig)) * time.Millisecond
	if set.limit = number(shareLimitConfig); set.limit == 0 {
		log.Warn("cannot find out how often the broker delivers a record: one given back after its last delivery is archived without a dead letter", "configuration", shareLimitConfig)
	}
	return set, nil
}

// setShareStart writes where partitions begin that the group has never read.
func setShareStart(ctx context.Context, cl *kgo.Client, group string, start Position) error {
	req := kmsg.NewPtrIncrementalAlterConfigsRequest()
	resource := kmsg.NewIncrementalAlterConfigsRequestResource()
	resource.ResourceType, resource.ResourceName = kmsg.ConfigResourceTypeGroupConfig, group
	config := kmsg.NewIncrementalAlterConfigsRequestResourceConfig()
	config.Name, config.Op, config.Value = shareResetConfig, kmsg.IncrementalAlterConfigOpSet, kmsg.StringPtr(string(start))
	resource.Configs = append(resource.Configs, config)
	req.Resources = append(req.Resources, resource)
	resp, err := req.RequestWith(ctx, cl)
	if err == nil && len(resp.Resources) > 0 {
		err = kerr.ErrorForCode(resp.Resources[0].ErrorCode)
	}
	switch {
	case err == nil:
		return nil
	case kerr.IsRetriable(err) || !errors.As(err, new(*kerr.Error)):
		return err
	}
	return &refusedError{fmt.Errorf("consumer: Start: the broker refused to set %s of group %q; it needs the right to alter the group's configuration: %w", shareResetConfig, group, err)}
}

// shareConfigs reads the configuration of a resource. Chosen tells whether its
// start was set for it.
func shareConfigs(ctx context.Context, cl *kgo.Client, kind kmsg.ConfigResourceType, name string) (configs map[string]string, chosen bool, err error) {
	req := kmsg.NewPtrDescribeConfigsRequest()
	resource := kmsg.NewDescribeConfigsRequestResource()
	resource.ResourceType, resource.ResourceName = kind, name
	req.Resources = append(req.Resources, resource)
	resp, err := req.RequestWith(ctx, cl)
	if err != nil {
		return nil, false, err
	}
	configs = make(map[string]string)
	for _, r := range resp.Resources {
		if err := kerr.ErrorForCode(r.ErrorCode); err != nil {
			return nil, false, err
		}
		for _, c := range r.Configs {
			if c.Value != nil {
				configs[c.Name] = *c.Value
			}
			chosen = chosen || c.Name == shareResetConfig && c.Source == kmsg.ConfigSourceGroupConfig
		}
	}
	return configs, chosen, nil
}

func brokerConfigs(ctx context.Context, cl *kgo.Client) (map[string]string, error) {
	nodes, err := shareNodes(ctx, cl)
	if err != nil {
		return nil, err
	}
	configs, _, err := shareConfigs(ctx, cl, kmsg.ConfigResourceTypeBroker, strconv.Itoa(int(nodes[0])))
	return configs, err
}

// canRenew tells whether all brokers can renew locks: ShareAcknowledge version 2
// (KIP-1222).
func canRenew(ctx context.Context, cl *kgo.Client) (bool, error) {
	nodes, err := shareNodes(ctx, cl)
	if err != nil {
		return false, err
	}
	const shareAcknowledge, renewal = 79, 2
	for _, node := range nodes {
		req := kmsg.NewPtrApiVersionsRequest()
		req.ClientSoftwareName, req.ClientSoftwareVersion = "ksim-consumer", "1" // a broker wants some
		resp, err := req.RequestWith(ctx, cl.Broker(int(node)))
		if err == nil {
			err = kerr.ErrorForCode(resp.ErrorCode)
		}
		if err != nil {
			return false, err
		}
		most := int16(-1)
		for _, key := range resp.ApiKeys {
			if key.ApiKey == shareAcknowledge {
				most = key.MaxVersion
			}
		}
		switch {
		case most < 0:
			return false, &refusedError{fmt.Errorf("consumer: broker %d has no share groups: they need Kafka 4.2, or 4.1 with the feature share.version=1", node)}
		case most < renewal:
			return false, nil
		}
	}
	return true, nil
}

func shareNodes(ctx context.Context, cl *kgo.Client) ([]int32, error) {
	req := kmsg.NewPtrMetadataRequest()
	req.Topics = []kmsg.MetadataRequestTopic{}
	resp, err := req.RequestWith(ctx, cl)
	if err != nil {
		return nil, err
	}
	nodes := make([]int32, 0, len(resp.Brokers))
	for _, b := range resp.Brokers {
		nodes = append(nodes, b.NodeID)
	}
	if len(nodes) == 0 {
		return nil, errors.New("consumer: the cluster tells of no broker")
	}
	return nodes, nil
}
