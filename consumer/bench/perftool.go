package main

import (
	"context"
	_ "embed"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"
)

//go:embed perftool/pom.xml
var toolPOM []byte

var toolVersion = string(regexp.MustCompile(`<kafka.version>(.*)</kafka.version>`).FindSubmatch(toolPOM)[1])

// fetchTool fetches the jars of Kafka's perf tool from Maven Central, once, and returns
// the directory that has them.
func fetchTool(ctx context.Context) (string, error) {
	for _, program := range []string{"java", "mvn"} {
		if _, err := exec.LookPath(program); err != nil {
			return "", fmt.Errorf("%s is needed for Kafka's perf tool (on Debian: apt-get install maven openjdk-17-jdk-headless): %w", program, err)
		}
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", err
	}
	dir := filepath.Join(cache, "ksim-bench", "kafka-tools-"+toolVersion)
	if _, err := os.Stat(dir); err == nil {
		return dir, nil
	}
	say("fetching Kafka's perf tool from Maven Central")
	// Into a directory beside it, so that one that is there is complete.
	part := dir + ".part"
	if err := os.MkdirAll(part, 0o755); err != nil {
		return "", err
	}
	pom := filepath.Join(part, "pom.xml")
	if err := os.WriteFile(pom, toolPOM, 0o644); err != nil {
		return "", err
	}
	ctx, cancel := context.WithTimeout(ctx, 5*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "mvn", "-q", "-B", "-ntp", "-Dstyle.color=never", "-f", pom, "dependency:copy-dependencies", "-DoutputDirectory="+part)
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("maven could not fetch kafka-tools %s: %w\n%s", toolVersion, err, out)
	}
	return dir, os.Rename(part, dir)
}

// runTool runs ConsumerPerformance. Its rate is its own, of its fetch phase: without
// the time that it counts as rebalancing.
func (b *bench) runTool(ctx context.Context, s setup) (result, error) {
	ctx, cancel := context.WithTimeout(ctx, trialTimeout)
	defer cancel()
	config, err := os.CreateTemp("", "perf-tool-*.properties")
	if err != nil {
		return result{}, err
	}
	defer func() { _ = os.Remove(config.Name()) }()
	_, err = fmt.Fprintf(config, "isolation.level=read_committed\nfetch.max.bytes=%d\nfetch.max.wait.ms=%d\nmax.poll.records=%d\nenable.auto.commit=true\nauto.commit.interval.ms=%d\n",
		s.FetchMax, fetchMaxWait.Milliseconds(), batchSize, commitEvery.Milliseconds())
	if err != nil {
		return result{}, err
	}
	if err := config.Close(); err != nil {
		return result{}, err
	}
	cmd := exec.Command("java", "-Xmx1g", "-cp", filepath.Join(b.tool, "*"), "org.apache.kafka.tools.ConsumerPerformance",
		"--bootstrap-server", strings.Join(s.Brokers, ","), "--topic", topic, "--group", s.Group, "--num-records", strconv.Itoa(s.Records),
		"--fetch-size", strconv.Itoa(fetchMaxPartition), "--command-config", config.Name(), "--hide-header")
	out, err := output(ctx, cmd)
	if err != nil {
		return result{}, fmt.Errorf("ConsumerPerformance: %w\n%s", err, out)
	}
	r, err := readTool(string(out))
	if err != nil {
		return result{}, err
	}
	used := usage(cmd)
	r.RSS, r.CPU = used.Maxrss<<10, time.Duration(used.Utime.Nano()+used.Stime.Nano())
	return r, nil
}

// readTool reads the line that the tool ends with: start.time, end.time,
// data.consumed.in.MB, MB.sec, data.consumed.in.nMsg, nMsg.sec, rebalance.time.ms,
// fetch.time.ms, fetch.MB.sec, fetch.nMsg.sec.
func readTool(out string) (result, error) {
	lines := strings.Split(strings.TrimSpace(out), "\n")
	fields := strings.Split(lines[len(lines)-1], ", ")
	if len(fields) != 10 {
		return result{}, fmt.Errorf("ConsumerPerformance said %q", out)
	}
	records, err := strconv.Atoi(fields[4])
	if err != nil {
		return result{}, fmt.Errorf("ConsumerPerformance: records: %w", err)
	}
	millis, err := strconv.Atoi(fields[7])
	if err != nil || millis <= 0 {
		return result{}, fmt.Errorf("ConsumerPerformance: fetch time %q: %w", fields[7], err)
	}
	return result{Records: records, Took: time.Duration(millis) * time.Millisecond}, nil
}
