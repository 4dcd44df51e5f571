package sqltx_test

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"net"
	"testing"

	"github.com/ksim-dev/ksim/consumer/sqltx"
)

// dialer makes a real error of the network.
type dialer struct{}

func (*dialer) dial(ctx context.Context) (net.Conn, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	_ = l.Close()
	return (&net.Dialer{}).DialContext(ctx, "tcp", l.Addr().String())
}

func TestClassify(t *testing.T) {
	_, refused := (&dialer{}).dial(t.Context())
	cases := []struct {
		err  error
		want sqltx.Class
	}{
		{errors.New("no idea"), sqltx.Ordinary},
		{coded("23505"), sqltx.Ordinary},
		{coded("22P02"), sqltx.Ordinary},
		{coded("57014"), sqltx.Ordinary},
		{coded("40001"), sqltx.Conflict},
		{coded("40P01"), sqltx.Conflict},
		{coded("55P03"), sqltx.Conflict},
		{coded("08006"), sqltx.Down},
		{coded("57P01"), sqltx.Down},
		{coded("53300"), sqltx.Down},
		{coded("40003"), sqltx.Down},
		{coded("25006"), sqltx.Down},
		{coded("short"), sqltx.Ordinary},
		{number(5), sqltx.Conflict},
		{number(5 | 2<<8), sqltx.Conflict},
		{number(6), sqltx.Conflict},
		{number(13), sqltx.Down},
		{number(10 | 3<<8), sqltx.Down},
		{number(19), sqltx.Ordinary},
		{driver.ErrBadConn, sqltx.Down},
		{sql.ErrConnDone, sqltx.Down},
		{io.ErrUnexpectedEOF, sqltx.Down},
		{refused, sqltx.Down},
		{context.Canceled, sqltx.Ordinary},
		{context.DeadlineExceeded, sqltx.Ordinary},
		{sql.ErrNoRows, sqltx.Ordinary},
	}
	for _, c := range cases {
		for _, err := range []error{c.err, fmt.Errorf("wrapped: %w", c.err)} {
			if got := sqltx.Classify(err); got != c.want {
				t.Errorf("%v: %d, want %d", err, got, c.want)
			}
		}
	}
}
