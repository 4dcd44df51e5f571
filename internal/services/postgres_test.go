package services_test

import (
	"bufio"
	"context"
	"database/sql"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib"

	"github.com/ksim-dev/ksim/internal/services"
)

const postgresChild = "KSIM_TEST_POSTGRES_CHILD"

func refused(t *testing.T, dsn string) bool {
	t.Helper()
	u, err := url.Parse(dsn)
	if err != nil {
		t.Fatal(err)
	}
	conn, err := net.DialTimeout("tcp", u.Host, time.Second)
	if err != nil {
		return true
	}
	_ = conn.Close()
	return false
}

func TestPostgres(t *testing.T) {
	var dsn string
	t.Run("serves", func(t *testing.T) {
		dsn = services.Postgres(t)
		db, err := sql.Open("pgx", dsn)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = db.Close() }()
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
		defer cancel()
		var addresses, sockets string
		if err := db.QueryRowContext(ctx, `SELECT current_setting('listen_addresses'), current_setting('unix_socket_directories')`).Scan(&addresses, &sockets); err != nil {
			t.Fatal(err)
		}
		if addresses != "127.0.0.1" || sockets != "" {
			t.Errorf("it listens on %q and %q", addresses, sockets)
		}
		if _, err := db.ExecContext(ctx, `CREATE TABLE t (a int)`); err != nil {
			t.Error(err)
		}
		if other := services.Postgres(t); other == dsn {
			t.Error("two servers are one")
		}
	})
	if dsn != "" && !refused(t, dsn) {
		t.Error("it still listens after the test")
	}
}

// A test process that is killed takes its server with it; its folder goes with
// the next start.
func TestPostgresEndsWithAKilledProcess(t *testing.T) {
	if os.Getenv(postgresChild) == "1" {
		dsn := services.Postgres(t)
		_, _ = os.Stdout.WriteString("\nurl " + dsn + "\n")
		select {}
	}
	services.Postgres(t) // skips, if need be, before the child does
	cmd := exec.Command(os.Args[0], "-test.run=^"+t.Name()+"$", "-test.timeout=5m")
	cmd.Env = append(os.Environ(), postgresChild+"=1")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = cmd.Process.Kill(); _ = cmd.Wait() }()
	dsn := ""
	for lines := bufio.NewScanner(out); dsn == "" && lines.Scan(); {
		dsn, _ = strings.CutPrefix(lines.Text(), "url ")
		if !strings.HasPrefix(dsn, "postgres://") {
			dsn = ""
		}
	}
	if dsn == "" || refused(t, dsn) {
		t.Fatalf("the child has no server: %q", dsn)
	}
	if err := cmd.Process.Signal(syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
	for deadline := time.Now().Add(30 * time.Second); !refused(t, dsn); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the server outlives the process that started it")
		}
	}
	t.Run("sweep", func(t *testing.T) { services.Postgres(t) })
	left, err := filepath.Glob(filepath.Join(os.TempDir(), "ksim-postgres-"+strconv.Itoa(cmd.Process.Pid)+"-*"))
	if err != nil || len(left) > 0 {
		t.Errorf("its folder is left: %v %v", left, err)
	}
}
