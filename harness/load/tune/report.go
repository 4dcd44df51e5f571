package tune

// Report is all that a sweep came to.
type Report struct {
	SLO            SLO            `json:"slo"`
	Rate           string         `json:"rate"` // profile that was offered
	Points         []Point        `json:"points"`
	Front          []Setting      `json:"front"` // those of the points that no other beats
	Recommendation Recommendation `json:"recommendation"`
	// Dropped are settings that got fewer trials than asked for, since more would have changed nothing.
	Dropped []Ruling `json:"dropped,omitempty"`
	// Comparison is of the first point with the second, where two were to be compared.
	Comparison []Difference `json:"comparison,omitempty"`
}

// NewReport looks at the points of a sweep.
func NewReport(points []Point, slo SLO, rate string, dropped []Ruling) *Report {
	r := &Report{SLO: slo, Rate: rate, Points: points, Front: []Setting{}, Recommendation: Recommend(points, slo), Dropped: dropped}
	for _, p := range Front(points) {
		r.Front = append(r.Front, p.Setting)
	}
	return r
}

// Unclear tells whether the measurements do not say what was asked: which setting to run with, or, of two, anything at all.
func (r *Report) Unclear() bool {
	if len(r.Comparison) == 0 {
		return r.Recommendation.CannotTell
	}
	for _, d := range r.Comparison {
		if d.A.Known && d.B.Known {
			return false
		}
	}
	return true
}
