package workload

import (
	"bytes"
	"encoding/json"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"pgregory.net/rapid"
)

func source(t testing.TB, spec SourceSpec) *Source {
	t.Helper()
	s, err := NewSource(spec)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func steady(t testing.TB, sizing string) SourceSpec {
	t.Helper()
	return SourceSpec{Partitions: 12, Keys: 1000, Sizes: sizes(t, sizing), Seed: 7}
}

// Every value is JSON of the layout that a Spec has by default, and as long as is asked for.
func TestSourceValues(t *testing.T) {
	var sizings []Sizes
	for _, text := range []string{"128", "129", "255", "300000", "lognormal:200,1.5", "uniform:120-140", "mix:256=0.5,300000=0.5"} {
		sizings = append(sizings, sizes(t, text))
	}
	rapid.Check(t, func(t *rapid.T) {
		spec := SourceSpec{
			Prefix:     rapid.SampledFrom([]string{"", "load.1", strings.Repeat("x", 32)}).Draw(t, "prefix"),
			Partitions: int32(rapid.IntRange(1, 50).Draw(t, "partitions")),
			Keys:       rapid.SampledFrom([]int{1, 10, 5000}).Draw(t, "keys"),
			Sizes:      rapid.SampledFrom(sizings).Draw(t, "sizes"),
			Seed:       rapid.Int64().Draw(t, "seed"),
		}
		s, err := NewSource(spec)
		if err != nil {
			t.Fatal(err)
		}
		seq := rapid.OneOf(rapid.IntRange(0, 2_000_000), rapid.IntRange(0, math.MaxInt)).Draw(t, "seq")
		due := time.Duration(rapid.Int64Range(0, int64(1000*time.Hour)).Draw(t, "due"))
		key, value, partition, err := s.Next(seq, due)
		if err != nil || partition != PartitionOf(key, spec.Partitions) {
			t.Fatalf("%s in partition %d, error %v", key, partition, err)
		}
		var got struct {
			ID, Key, Pad string
			Seq          int
			TS           int64
		}
		if err := json.Unmarshal(value, &got); err != nil {
			t.Fatalf("%v: %s", err, value)
		}
		// What payloads.json makes of the same, with the same padding.
		p := payloads{spec: Spec{}}
		want := p.json(Message{ID: s.ID(seq), Seq: seq, Key: key, Due: due}, 0)
		want = append(append(want[:len(want)-2], got.Pad...), `"}`...)
		if !bytes.Equal(value, want) {
			t.Fatalf("the value is\n%s, and a Spec makes\n%s", value, want)
		}
		if n := len(value); seq < 1_000_000_000 && (n < spec.Sizes.Min() || n > spec.Sizes.Max()) {
			t.Errorf("%d bytes are not of %s", n, spec.Sizes)
		}
	})
}

func TestSourceIDs(t *testing.T) {
	s := source(t, steady(t, "256"))
	if got := s.ID(123); got != "l-000123" {
		t.Errorf("message 123 is %s", got)
	}
	rapid.Check(t, func(t *rapid.T) {
		seq := rapid.OneOf(rapid.IntRange(0, 2_000_000), rapid.IntRange(0, math.MaxInt)).Draw(t, "seq")
		if got, ok := s.SeqOf(s.ID(seq)); !ok || got != seq {
			t.Errorf("%s is message %d", s.ID(seq), got)
		}
	})
	for _, id := range []string{"", "l", "l-", "l-12345", "l-0000001", "l-00000x", "l-+00001", "l--00001", "m-000001", "ll-000001", "l000001", "l-1_00000", "l-9223372036854775808"} {
		if seq, ok := s.SeqOf(id); ok {
			t.Errorf("%q is message %d", id, seq)
		}
	}
}

// All of a message follows from the seed and its number: neither those before it matter nor who makes it.
func TestSourceIsAFunctionOfTheNumber(t *testing.T) {
	for _, change := range []func(*SourceSpec){
		func(*SourceSpec) {},
		func(s *SourceSpec) { s.Distribution, s.ZipfS = Zipf, 0.99 },
		func(s *SourceSpec) { s.Template = "{{.ID}},{{.Key}},{{.Seq}},{{.Time}},{{.Padding}}" },
	} {
		spec := steady(t, "uniform:128-400")
		change(&spec)
		one := source(t, spec)
		two, err := source(t, spec).Clone()
		if err != nil {
			t.Fatal(err)
		}
		spec.Seed++
		other, differ := source(t, spec), 0
		const messages = 200
		var values [messages][]byte
		for seq := range messages {
			_, values[seq], _, _ = one.Next(seq, time.Second)
		}
		for seq := messages - 1; seq >= 0; seq-- {
			key, value, partition, err := two.Next(seq, time.Second)
			if err != nil || !bytes.Equal(value, values[seq]) {
				t.Fatalf("message %d is\n%s and\n%s; error %v", seq, values[seq], value, err)
			}
			if k, p := one.KeyOf(seq); !bytes.Equal(k, key) || p != partition {
				t.Errorf("message %d has the key %s in %d, and by KeyOf %s in %d", seq, key, partition, k, p)
			}
			if _, value, _, _ := other.Next(seq, time.Second); !bytes.Equal(value, values[seq]) {
				differ++
			}
		}
		if differ != messages {
			t.Errorf("with another seed only %d of %d values differ", differ, messages)
		}
	}
}

func TestSourceTemplates(t *testing.T) {
	spec := steady(t, "uniform:100-200")
	spec.Template = `{{.ID}},{{.Key}},{{.Seq}},{{.Time}},{{.Padding}}{{if eq .Seq 9}}{{slice .Key 99}}{{end}}`
	s := source(t, spec)
	key, value, _, err := s.Next(5, 1500*time.Millisecond)
	if want := "l-000005," + string(key) + ",5,1500,"; err != nil || !strings.HasPrefix(string(value), want) || len(value) < 100 || len(value) > 200 {
		t.Errorf("%s, error %v, want %s…", value, err, want)
	}
	if _, value, _, err := s.Next(9, 0); err == nil || !strings.Contains(err.Error(), "message 9") {
		t.Errorf("a template that fails gives %s and the error %v", value, err)
	}
}

// Neighbours draw keys that have nothing to do with each other, as often as they should.
func TestSourceKeys(t *testing.T) {
	const n, keys = 100_000, 10
	for _, s := range []float64{0, 0.99} {
		spec := steady(t, "128")
		spec.Keys = keys
		if s > 0 {
			spec.Distribution, spec.ZipfS = Zipf, s
		}
		src, sum := source(t, spec), 0.0
		for i := range keys {
			sum += math.Pow(float64(i+1), -s)
		}
		count, pairs := map[string]float64{}, map[string]float64{}
		last := ""
		for seq := range n {
			key, _ := src.KeyOf(seq)
			count[string(key)]++
			pairs[last+" "+string(key)]++
			last = string(key)
		}
		for i := range keys {
			share := math.Pow(float64(i+1), -s) / sum
			if off := 5 * math.Sqrt(n*share); math.Abs(count[keyName(i)]-n*share) > off {
				t.Errorf("zipf %v: %v times key %d, want %.0f ± %.0f", s, count[keyName(i)], i, n*share, off)
			}
			if twice := n * share * share; math.Abs(pairs[keyName(i)+" "+keyName(i)]-twice) > 5*math.Sqrt(twice) {
				t.Errorf("zipf %v: %v times key %d twice, want %.0f", s, pairs[keyName(i)+" "+keyName(i)], i, twice)
			}
		}
	}
	// Keys that are not held are made in the same way.
	src := source(t, SourceSpec{Partitions: 7, Keys: MaxKeys, Sizes: sizes(t, "128")})
	beyond := 0
	for seq := range 1000 {
		key, partition := src.KeyOf(seq)
		if partition != PartitionOf(key, 7) || !strings.HasPrefix(string(key), "k-") {
			t.Errorf("%s in %d", key, partition)
		}
		if len(key) > keyLength {
			beyond++
		}
	}
	if beyond < 800 {
		t.Errorf("%d of 1000 keys are beyond the first million, of ten", beyond)
	}
}

func TestSourceErrors(t *testing.T) {
	for want, change := range map[string]func(*SourceSpec){
		"there are no sizes":                    func(s *SourceSpec) { s.Sizes = Sizes{} },
		"longest message of this workload need": func(s *SourceSpec) { s.Sizes = sizes(t, "uniform:60-900") },
		"partitions is 0":                       func(s *SourceSpec) { s.Partitions = 0 },
		"keys is 0":                             func(s *SourceSpec) { s.Keys = 0 },
		"zipf exponent":                         func(s *SourceSpec) { s.Distribution = Zipf },
		`prefix "a/b"`:                          func(s *SourceSpec) { s.Prefix = "a/b" },
		"the same value":                        func(s *SourceSpec) { s.Template = "{{.Key}}" },
	} {
		spec := steady(t, "256")
		change(&spec)
		if _, err := NewSource(spec); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want %q", err, want)
		}
	}
}

// A producer may hold what it was given for ever: nothing is written to it again.
func TestValuesDoNotChange(t *testing.T) {
	s := source(t, steady(t, "mix:128=0.5,1000=0.3,200000=0.1,400000=0.1"))
	var values, copies [][]byte
	for seq := range 300 {
		_, value, _, _ := s.Next(seq, 0)
		values, copies = append(values, value), append(copies, bytes.Clone(value))
		if cap(value) != len(value) {
			t.Fatal("whoever appends to a value writes into the next")
		}
	}
	for i := range values {
		if !bytes.Equal(values[i], copies[i]) {
			t.Fatalf("message %d has changed", i)
		}
	}
}

// A padding of blanks would make every codec look wonderful. What codecs do find in small values is the JSON around it.
func TestValuesDoNotCompress(t *testing.T) {
	for _, c := range []struct {
		sizing string
		codec  kgo.CompressionCodec
		least  float64
	}{
		{"1024", kgo.ZstdCompression(), 0.70}, {"1024", kgo.Lz4Compression(), 0.70}, {"1024", kgo.SnappyCompression(), 0.70}, {"1024", kgo.GzipCompression(), 0.70},
		{"256", kgo.Lz4Compression(), 0.70}, {"256", kgo.ZstdCompression(), 0.55},
	} {
		codec, err := kgo.DefaultCompressor(c.codec)
		if err != nil {
			t.Fatal(err)
		}
		s := source(t, steady(t, c.sizing))
		var all, packed bytes.Buffer
		for seq := 0; all.Len() < 1<<20; seq++ {
			_, value, _, _ := s.Next(seq, time.Duration(seq)*time.Millisecond)
			all.Write(value)
		}
		out, _ := codec.Compress(&packed, all.Bytes())
		left := float64(len(out)) / float64(all.Len())
		if left < c.least {
			t.Errorf("values of %s bytes: codec %v leaves %.2f of them, want %.2f", c.sizing, c.codec, left, c.least)
		}
		t.Logf("%s bytes, codec %v: %.3f", c.sizing, c.codec, left)
	}
}

func TestCharacters(t *testing.T) {
	seen := map[byte]int{}
	for state := range uint64(8000) {
		var b [word]byte
		pad(b[:], mix(state))
		for _, c := range b {
			seen[c]++
		}
	}
	for c, n := range seen {
		if c < '#' || c > 'c' || c == '\\' || n < 850 || n > 1150 {
			t.Errorf("%q comes %d times", c, n)
		}
	}
	if len(seen) != 64 {
		t.Errorf("%d characters", len(seen))
	}
}

func BenchmarkSource(b *testing.B) {
	zipf := steady(b, "256")
	zipf.Distribution, zipf.ZipfS = Zipf, 0.99
	many := steady(b, "256")
	many.Keys = 1_000_000
	for name, spec := range map[string]SourceSpec{
		"256B": steady(b, "256"), "1KB": steady(b, "1024"), "lognormal": steady(b, "lognormal:256,0.5"), "zipf": zipf, "1Mkeys": many,
	} {
		b.Run(name, func(b *testing.B) {
			s := source(b, spec)
			b.ReportAllocs()
			seq := 0
			for b.Loop() {
				_, value, _, _ := s.Next(seq, time.Duration(seq)*time.Microsecond)
				b.SetBytes(int64(len(value)))
				seq++
			}
		})
	}
}
