package consumer

// JoinHooks returns hooks that call those of each argument, in order. So metrics,
// logs and hooks of your own sit side by side.
func JoinHooks(hooks ...Hooks) Hooks {
	var j Hooks
	for _, h := range hooks {
		j.OnAssign = join2(j.OnAssign, h.OnAssign)
		j.OnRevoke = join3(j.OnRevoke, h.OnRevoke)
		j.OnRebalance = join1(j.OnRebalance, h.OnRebalance)
		j.OnLost = join3(j.OnLost, h.OnLost)
		j.OnBatch = join1(j.OnBatch, h.OnBatch)
		j.OnCommit = join4(j.OnCommit, h.OnCommit)
		j.OnCommitRequest = join1(j.OnCommitRequest, h.OnCommitRequest)
		j.OnRetry = join1(j.OnRetry, h.OnRetry)
		j.OnPoison = join4(j.OnPoison, h.OnPoison)
		j.OnStall = join1(j.OnStall, h.OnStall)
		j.OnPause = join2(j.OnPause, h.OnPause)
		j.OnResume = join2(j.OnResume, h.OnResume)
	}
	return j
}

// JoinShareHooks is [JoinHooks] for a [ShareConsumer].
func JoinShareHooks(hooks ...ShareHooks) ShareHooks {
	var j ShareHooks
	for _, h := range hooks {
		j.OnReceive = join1(j.OnReceive, h.OnReceive)
		j.OnBatch = join1(j.OnBatch, h.OnBatch)
		j.OnRetry = join1(j.OnRetry, h.OnRetry)
		j.OnPoison = join4(j.OnPoison, h.OnPoison)
		j.OnAck = join1(j.OnAck, h.OnAck)
		j.OnAckFailed = join1(j.OnAckFailed, h.OnAckFailed)
		j.OnRenew = join3(j.OnRenew, h.OnRenew)
		j.OnTaken = join4(j.OnTaken, h.OnTaken)
		j.OnStall = join1(j.OnStall, h.OnStall)
	}
	return j
}

func join1[A any](f, g func(A)) func(A) {
	switch {
	case f == nil:
		return g
	case g == nil:
		return f
	}
	return func(a A) { f(a); g(a) }
}

func join2[A, B any](f, g func(A, B)) func(A, B) {
	switch {
	case f == nil:
		return g
	case g == nil:
		return f
	}
	return func(a A, b B) { f(a, b); g(a, b) }
}

func join3[A, B, C any](f, g func(A, B, C)) func(A, B, C) {
	switch {
	case f == nil:
		return g
	case g == nil:
		return f
	}
	return func(a A, b B, c C) { f(a, b, c); g(a, b, c) }
}

func join4[A, B, C, D any](f, g func(A, B, C, D)) func(A, B, C, D) {
	switch {
	case f == nil:
		return g
	case g == nil:
		return f
	}
	return func(a A, b B, c C, d D) { f(a, b, c, d); g(a, b, c, d) }
}
