package services

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"sync"
	"syscall"
	"time"
)

// readyBound is how long a start may take. Two seconds are usual; a machine with
// other work needs more.
const readyBound = 90 * time.Second

var errEnded = errors.New("the registry ended before it was ready")

func startRegistry(i registryInstall, dir string, port, health int) (*child, error) {
	logPath := filepath.Join(dir, "registry.log")
	log, err := os.OpenFile(logPath, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return nil, err
	}
	defer func() { _ = log.Close() }() // the process has its own by then
	// Made for a short life: little memory, the quick compiler only.
	cmd := exec.Command(i.java, "-Xmx192m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-jar", i.jar)
	cmd.Dir = dir
	cmd.Stdout, cmd.Stderr = log, log
	// Only these: settings of the same names in the developer's environment are not for it.
	cmd.Env = []string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + dir,
		"QUARKUS_HTTP_HOST=127.0.0.1", "QUARKUS_HTTP_PORT=" + strconv.Itoa(port),
		"QUARKUS_MANAGEMENT_HOST=127.0.0.1", "QUARKUS_MANAGEMENT_PORT=" + strconv.Itoa(health),
		"APICURIO_STORAGE_KIND=sql", "APICURIO_STORAGE_SQL_KIND=h2",
		// In a file, so that it survives a kill: ids stay what they were.
		"APICURIO_DATASOURCE_URL=jdbc:h2:file:" + filepath.Join(dir, "db") + ";WRITE_DELAY=0",
	}
	cmd.SysProcAttr = childAttributes(syscall.SIGKILL)
	p, err := startChild(cmd, nil)
	if err != nil {
		return nil, fmt.Errorf("start %s: %w", i.java, err)
	}
	if err := awaitReady(p, "http://127.0.0.1:"+strconv.Itoa(health)+"/health/ready"); err != nil {
		p.kill()
		return nil, fmt.Errorf("%w; its log ends with:\n%s", err, tail(logPath, 2000))
	}
	return p, nil
}

func awaitReady(p *child, url string) error {
	ctx, cancel := context.WithTimeout(context.Background(), readyBound)
	defer cancel()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: 5 * time.Second}
	for wait := 50 * time.Millisecond; ; wait = min(2*wait, 400*time.Millisecond) {
		err := healthy(ctx, client, url)
		if err == nil {
			return nil
		}
		timer := time.NewTimer(wait)
		select {
		case <-timer.C:
		case <-p.done:
			timer.Stop()
			return errEnded
		case <-ctx.Done():
			timer.Stop()
			return fmt.Errorf("the registry was not ready within %v: %w", readyBound, err)
		}
	}
}

func healthy(ctx context.Context, client *http.Client, url string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	resp, err := client.Do(req)
	if err != nil {
		return err
	}
	_ = resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("its health is %s", resp.Status)
	}
	return nil
}

// findJava returns a Java that is new enough. It is asked only once.
var findJava = sync.OnceValues(func() (string, error) {
	var candidates []string
	if home := os.Getenv("JAVA_HOME"); home != "" {
		candidates = append(candidates, filepath.Join(home, "bin", "java"))
	}
	if path, err := exec.LookPath("java"); err == nil {
		candidates = append(candidates, path)
	}
	below, _ := filepath.Glob("/usr/lib/jvm/*/bin/java")
	for _, java := range append(candidates, below...) {
		if javaRelease(java) >= 21 {
			return java, nil
		}
	}
	return "", errors.New("no Java 21 or newer in JAVA_HOME, in PATH or below /usr/lib/jvm")
})

var javaVersion = regexp.MustCompile(` version "(\d+)`)

// javaRelease returns the feature release of a Java, 0 if it does not say.
func javaRelease(java string) int {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	out, err := exec.CommandContext(ctx, java, "-version").CombinedOutput()
	found := javaVersion.FindSubmatch(out)
	if err != nil || found == nil {
		return 0
	}
	n, _ := strconv.Atoi(string(found[1])) // digits
	return n
}

func tail(path string, n int) string {
	text, err := os.ReadFile(path)
	if err != nil {
		return err.Error()
	}
	return string(text[max(0, len(text)-n):])
}
