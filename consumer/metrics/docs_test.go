package metrics

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write docs/consumer-metrics.md instead of comparing with it")

const docs = "../../docs/consumer-metrics.md"

const intro = `# Metrics of the consumer library

Made from the descriptors in consumer/metrics: ` + "`go test ./consumer/metrics -update`" + ` writes this page.

Those of a Consumer come first, those of a ShareConsumer (share groups, KIP-932) at the end.

Every metric has the label ` + "`consumergroup`" + `, and those of metrics.Config.Labels.

- **A series is there only while it is true.** Gauges are asked of the consumer at the scrape. A partition that was
  revoked, lost, or left at the end has no series from that moment on; a value that is not known has none either, and
  is never 0. Gauges are there from metrics.Watch on.
- **Lag** is end − committed, as Kafka's own tools show it. The end is the last stable offset, since the consumer reads
  committed records only; it is asked for every Config.LagInterval (10 s), and records that come in between raise it.
  ` + "`ksim_consumer_end_offset_age_seconds`" + ` tells how old it is. An open transaction hides what is behind it from the
  consumer and from its lag; tools that look at the high watermark count it.
- **Control records** of transactions count as lag until the commit has passed them. The consumer reads and passes them,
  so a partition that is caught up has lag 0 after a transaction too, committed or aborted.
- **A group that has never committed** a partition has no lag there, as in Kafka's own tools. What waits is
  ` + "`ksim_consumer_end_offset - ksim_consumer_processed_offset`" + ` once its first record has come.
- With positions in a database (Config.Offsets) the committed offset is at first the database's, then what is committed
  to Kafka after it.
- **Counters are by topic**, never by partition. Those of metrics.Config.Topics exist from the start.
- Histograms are native histograms (10 % resolution) with classic buckets beside.

`

const alerts = `
## Alerts

` + "```yaml" + `
groups:
  - name: ksim-consumer
    rules:
      - alert: ConsumerLagGrows
        expr: sum by (consumergroup, topic) (kafka_consumergroup_lag) > 10000 and sum by (consumergroup, topic) (deriv(kafka_consumergroup_lag[10m])) > 0
        for: 10m
      - alert: ConsumerStuck # records wait, and the watermark does not move
        expr: ksim_consumer_end_offset > ksim_consumer_processed_offset and changes(ksim_consumer_processed_offset[10m]) == 0
        for: 10m
      - alert: ConsumerLagUnknown
        expr: ksim_consumer_end_offset_age_seconds > 60
        for: 5m
      - alert: ConsumerPoison
        expr: increase(ksim_consumer_poison_total[10m]) > 0
      - alert: ConsumerNotReady
        expr: ksim_consumer_ready == 0
        for: 5m
      - alert: ConsumerStalled
        expr: increase(ksim_consumer_stalls_total[10m]) > 0
` + "```" + `
`

const shares = `
# Share consumers

metrics.NewShare makes these for a ShareConsumer. Every metric has the label ` + "`sharegroup`" + `, and those of
metrics.Config.Labels.

- **There is no lag here.** A member of a share group owns no partition and commits no offset: the brokers keep the state
  of each record, and any number of members share a partition. What waits for the group is between the share-partition
  start offset and the end of the log; ask the brokers for it (` + "`kafka-share-groups.sh --describe`" + `, or an exporter).
  What a member can tell is how much it holds, for how long, and how often records come again.
- **Gauges** are asked of the consumer at the scrape, and are there from metrics.Watch on; they are of the member, not by
  partition. **Counters are by topic**; those of metrics.Config.Topics exist from the start.
- **Records are counted by deliveries**: one that is tried again here is a retry and not a delivery. A rise of
  ` + "`ksim_share_consumer_redelivered_records_total`" + ` means that members crash, lose locks, or give records back.
- **A record that is acknowledged in vain** (result failed) or taken may be handled twice.

`

const shareAlerts = `
## Alerts

` + "```yaml" + `
groups:
  - name: ksim-share-consumer
    rules:
      - alert: ShareConsumerStuck # it holds records, and none of them ends
        expr: ksim_share_consumer_oldest_held_seconds > 600
        for: 5m
      - alert: ShareConsumerLosesLocks
        expr: sum by (sharegroup) (increase(ksim_share_consumer_taken_records_total[10m])) > 0
      - alert: ShareConsumerAcknowledgesInVain
        expr: sum by (sharegroup) (increase(ksim_share_consumer_acknowledgements_total{result="failed"}[10m])) > 0
      - alert: ShareConsumerPoison
        expr: increase(ksim_share_consumer_poison_total[10m]) > 0
      - alert: ShareConsumerNotReady
        expr: ksim_share_consumer_ready == 0
        for: 5m
      - alert: ShareConsumerStalled
        expr: increase(ksim_share_consumer_stalls_total[10m]) > 0
` + "```" + `
`

// section is a table of the metrics that are wanted.
func section(b *strings.Builder, title string, catalogue []descriptor, wanted func(descriptor) bool) {
	fmt.Fprintf(b, "## %s\n\n| metric | type | labels | meaning |\n|---|---|---|---|\n", title)
	for _, d := range catalogue {
		if wanted(d) {
			fmt.Fprintf(b, "| `%s` | %s | %s | %s |\n", d.name, d.kind, strings.Join(d.labels, ", "), d.help)
		}
	}
	b.WriteString("\n")
}

func buckets(b *strings.Builder, catalogue []descriptor) {
	b.WriteString("Classic buckets:\n\n")
	for _, d := range catalogue {
		if d.kind == histogram {
			fmt.Fprintf(b, "- `%s`: %s\n", d.name, strings.Trim(strings.ReplaceAll(fmt.Sprint(d.buckets), " ", ", "), "[]"))
		}
	}
}

func page() string {
	var b strings.Builder
	b.WriteString(intro)
	section(&b, "Partitions that the consumer owns", catalogue, func(d descriptor) bool { return d.kind == gauge && len(d.labels) > 0 })
	section(&b, "The consumer", catalogue, func(d descriptor) bool { return d.kind == gauge && len(d.labels) == 0 })
	section(&b, "Work and commits", catalogue, func(d descriptor) bool { return d.kind != gauge })
	buckets(&b, catalogue)
	b.WriteString(alerts)
	b.WriteString(shares)
	section(&b, "The share consumer", shareCatalogue, func(d descriptor) bool { return d.kind == gauge })
	section(&b, "Work and acknowledgements", shareCatalogue, func(d descriptor) bool { return d.kind != gauge })
	buckets(&b, shareCatalogue)
	b.WriteString(shareAlerts)
	return b.String()
}

func TestDocsAreCurrent(t *testing.T) {
	want := page()
	if *update {
		if err := os.WriteFile(docs, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	got, err := os.ReadFile(docs)
	if err != nil || string(got) != want {
		t.Errorf("%s is not what the descriptors say (%v): go test ./consumer/metrics -update", docs, err)
	}
}
