package check

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ksim-dev/ksim/harness/history"
)

// storyOf is the story of the first violation that a check finds.
func storyOf(t *testing.T, b *book, name string) []string {
	t.Helper()
	for _, r := range Run(b.history()).Checks {
		if r.Check == name && len(r.Evidence) > 0 {
			return r.Evidence[0].Story
		}
	}
	t.Fatalf("%s found nothing", name)
	return nil
}

// Of a long history a story tells the few events that led to the violation, in order.
func TestStoryOfALoss(t *testing.T) {
	b := newBook()
	b.h.Promises.GracefulStop = false
	b.join("m1", 0)
	b.join("m2", 1)
	b.produce(0, 0, 40)
	b.produce(1, 0, 40)
	b.do("m1", 0, 0, 20)
	b.commit("m1", 0, 20)
	b.do("m2", 1, 0, 40)
	b.commit("m2", 1, 40)
	b.answer(b.request("m1", 0, 25), "ILLEGAL_GENERATION")
	b.begin("m1", 0, 20)
	b.commit("m1", 0, 40)
	b.crash("m1", "m1#2", 0)
	b.close("m1#2", "m2")
	got := storyOf(t, b, "no-loss")
	want := []string{
		"m1 was given partition 0",
		"m-0-20 was produced at offset 20 of partition 0",
		"m1 committed 20",
		"m1 committed 25, refused: ILLEGAL_GENERATION",
		"m1 began m-0-20",
		"m1 committed 40",
	}
	var told []string
	for _, s := range got {
		when, what, _ := strings.Cut(s, " ")
		if _, err := time.Parse("15:04:05.000", when); err != nil {
			t.Errorf("%q does not begin with a time", s)
		}
		told = append(told, what)
	}
	if !slices.Equal(told, want) {
		t.Errorf("the story is\n%s\nnot\n%s", strings.Join(told, "\n"), strings.Join(want, "\n"))
	}
	if !slices.IsSorted(got) {
		t.Errorf("not in order of time: %q", got)
	}
}

// A repeat without a cause is told with what happened to its member and its partition.
func TestStoryOfARepeat(t *testing.T) {
	b := newBook()
	b.join("m1", 0)
	b.produce(0, 0, 8)
	b.do("m1", 0, 0, 8)
	b.commit("m1", 0, 8)
	b.crash("m1", "m2", 0)
	b.do("m2", 0, 7, 8)
	b.close("m2")
	got := strings.Join(storyOf(t, b, "reprocessing"), "\n")
	for _, want := range []string{"m1 did m-0-7", "m1 was killed", "m1 was put out of the group", "m2 was given partition 0", "m2 did m-0-7 again", "m1 committed 8"} {
		if !strings.Contains(got, want) {
			t.Errorf("%q is not in\n%s", want, got)
		}
	}
}

// Every event can be told, whatever it holds, and every violation has a story.
func TestEverythingCanBeTold(t *testing.T) {
	f := NewFacts(newBook().history())
	st := storyteller{Facts: f, attempts: map[string][]int32{}}
	for _, k := range append(slices.Clone(kinds), history.LagReported, history.Scraped, history.CommitSealed, history.Aborted, history.Output) {
		e := history.Event{Kind: k, Member: "m1"}
		if s := st.sentence(0, &e); s == "" || strings.Contains(s, "%!") {
			t.Errorf("%s is told as %q", k, s)
		}
	}
	b := newBook()
	lossyCrash(b)
	for _, r := range Run(b.history()).Checks {
		for _, e := range r.Evidence {
			if len(e.Story) == 0 || len(e.Story) > maxStory {
				t.Errorf("%s: %d sentences for %q", r.Check, len(e.Story), e.What)
			}
		}
	}
}

func TestAttributionIsTold(t *testing.T) {
	b := newBook()
	b.join("m1", 0)
	b.produce(0, 0, 10)
	b.do("m1", 0, 0, 8)
	b.commit("m1", 0, 5)
	b.crash("m1", "m2", 0)
	b.do("m2", 0, 3, 10)
	b.commit("m2", 0, 10)
	b.close("m2")
	if got := Run(b.history()).Attribution; !strings.HasPrefix(got, "5 repeated: 3 by the crash of m1 at 14:03:00.") || !strings.HasSuffix(got, ", partition 0 [5,8), 2 unexplained") {
		t.Errorf("%q", got)
	}
	b = newBook()
	sound(b)
	if got := Run(b.history()).Attribution; got != "" {
		t.Errorf("nothing was repeated, and yet %q", got)
	}
}
