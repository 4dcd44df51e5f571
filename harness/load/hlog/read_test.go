package hlog

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// payload is a histogram as it stands in a log.
func payload(t testing.TB, values ...int64) string {
	t.Helper()
	text, err := histogram(values...).EncodeV2()
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestReadRefuses(t *testing.T) {
	const version = versionMark + "1.3]\n"
	p := payload(t, 7)
	for name, c := range map[string]struct{ text, want string }{
		"nothing":         {"", "it is empty"},
		"comments only":   {"#[StartTime: 5.000]\n", "it is empty"},
		"another file":    {"hello\n", "line 1: this is no interval log"},
		"another version": {versionMark + "2.0]\n", `line 1: format version "2.0"`},
		"cut version":     {versionMark + "1.3", "line 1: format version"},
		"no start":        {version + "#[StartTime: soon]\n", "line 2: StartTime: \"\" is not a number"},
		"no base":         {version + "#[BaseTime: 1.2.3]\n", "line 2: BaseTime: \"1.2.3\""},
		"few fields":      {version + "\n1.0,1.0\n", "line 3: an interval has 4 fields (start, length, max, histogram), this one 2"},
		"tag alone":       {version + "Tag=A\n", `line 2: tag "A" is not followed`},
		"tag with space":  {version + "Tag=A B,1,1,1," + p, "line 2: tag"},
		"bad start":       {version + "x,1,1," + p, `line 2: start: "x" is not a number of seconds`},
		"negative start":  {version + "-1,1,1," + p, `line 2: start: "-1"`},
		"bad length":      {version + "1,1e3,1," + p, `line 2: length: "1e3"`},
		"no length":       {version + "1,0.000,1," + p, "line 2: length: it must be more than 0"},
		"endless":         {version + "99999999999999,1,1," + p, "too many seconds"},
		"cut histogram":   {version + "1,1,1," + p[:len(p)-8], "line 2: histogram: "},
		"format V1":       {version + "1,1,1,HISTggAAAAA=", "line 2: histogram: encoding not supported"},
	} {
		if _, _, err := Read(strings.NewReader(c.text)); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
}

// Logs of other tools: older versions, carriage returns, no BaseTime, no StartTime, no end of the last line.
func TestReadOthers(t *testing.T) {
	p := payload(t, 7)
	at := func(ms int64) time.Time { return time.UnixMilli(ms).UTC() }
	for name, c := range map[string]struct {
		text  string
		start time.Time
		want  []Interval
	}{
		"jHiccup": {
			"#[Logged with jHiccup]\r\n#[Histogram log format version 1.2]\r\n#[StartTime: 1441812279.474 (seconds since epoch), Wed]\r\n" + legend + "\r\n0.127,1.007,2.769," + p + "\r\nTag=A,1.134, 0.5 ,0.4," + p,
			at(1441812279474), []Interval{
				{Start: at(1441812279601), Length: 1007 * time.Millisecond, Histogram: histogram(7)},
				{Tag: "A", Start: at(1441812280608), Length: 500 * time.Millisecond, Histogram: histogram(7)},
			},
		},
		"absolute": {
			"#[Histogram log format version 1.1]\n#[StartTime: 1438613579.295 (seconds]\n1438613579.290,0.660,0.488," + p + "\n",
			at(1438613579295), []Interval{{Start: at(1438613579290), Length: 660 * time.Millisecond, Histogram: histogram(7)}},
		},
		"no header": {
			versionMark + "1.3]\n5.1234567891,1,x," + p,
			time.Unix(5, 123456789).UTC(), []Interval{{Start: time.Unix(5, 123456789), Length: time.Second, Histogram: histogram(7)}},
		},
	} {
		got, head, err := Read(strings.NewReader(c.text))
		if err != nil || !head.StartTime.Equal(c.start) || !same(got, c.want) {
			t.Errorf("%s: %v\n%v %+v, want %v %+v", name, err, head.StartTime, got, c.start, c.want)
		}
	}
}

func TestFiles(t *testing.T) {
	head, intervals := sample()
	path := filepath.Join(t.TempDir(), "total.hlog")
	if err := WriteFile(path, head, intervals); err != nil {
		t.Fatal(err)
	}
	if got, gotHead, err := ReadFile(path); err != nil || !same(got, intervals) || !slices.Equal(gotHead.Comments, head.Comments) {
		t.Errorf("%v: %+v", err, got)
	}
	if err := os.WriteFile(path, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, _, err := ReadFile(path); err == nil || !strings.HasPrefix(err.Error(), path) {
		t.Errorf("the error does not name the file: %v", err)
	}
	if err := WriteFile(path, Header{}, nil); err == nil || !strings.HasPrefix(err.Error(), path) {
		t.Errorf("the error does not name the file: %v", err)
	}
}

// Whatever is read can be written, and is then read as the same.
func FuzzRead(f *testing.F) {
	head, intervals := sample()
	var b bytes.Buffer
	if err := Write(&b, head, intervals); err != nil {
		f.Fatal(err)
	}
	f.Add(b.String())
	p := payload(f, 7)
	f.Add("#[Logged with jHiccup]\r\n#[Histogram log format version 1.2]\r\n#[StartTime: 1441812279.474 (s]\r\n0.127,1.007,2.769," + p)
	f.Add(versionMark + "1.3]\nTag=A,5,1,1," + p + "\nTag=B,5,1,1," + p)
	f.Add(versionMark + "1.3]\n#[BaseTime: 9.5]\n5.1,0.1,," + p + "\n\n#x")
	f.Fuzz(func(t *testing.T, text string) {
		got, head, err := Read(strings.NewReader(text))
		if err != nil {
			return
		}
		for _, iv := range got { // Write takes no interval before the start; a log of another tool may have one
			if iv.Start.Before(head.StartTime) || head.StartTime.IsZero() {
				head.StartTime = iv.Start
			}
		}
		if head.StartTime.IsZero() {
			head.StartTime = noon
		}
		var again bytes.Buffer
		if err := Write(&again, head, got); err != nil {
			if strings.Contains(err.Error(), "centuries") || strings.Contains(err.Error(), "comment") {
				return // after a carriage return within a line, or a start and a base that are far from each other
			}
			t.Fatal(err)
		}
		twice, headTwice, err := Read(&again)
		if err != nil || !same(got, twice) || !headTwice.StartTime.Equal(head.StartTime) || !slices.Equal(headTwice.Comments, head.Comments) {
			t.Fatalf("%v\nread  %+v %+v\nagain %+v %+v", err, head, got, headTwice, twice)
		}
	})
}
